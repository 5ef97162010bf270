"""The ML service: says into which spending category a transaction belongs, and whether a commit is a merge.

A service of its own, with its own requirements and image. It imports `include.ml.model_file`, which says
what a saved model is, and nothing else. The platform talks to it over HTTP. Its model of commits comes from MLflow.
"""
