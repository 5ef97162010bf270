"""The ML service: predicts the spending category of a transaction, and whether a commit is a merge.

A separate service with its own requirements and image. Of the platform it imports only `include.ml.model_file`, which
defines the form of a saved model. The platform calls it over HTTP. Its model of commits comes from MLflow.
"""
