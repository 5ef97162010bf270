"""The ML service: says into which spending category a transaction belongs, and whether a commit is a merge.

A service of its own, with its own requirements and image. It imports nothing of the platform, and the platform talks to
it over HTTP alone. Its model of commits comes from MLflow.
"""
