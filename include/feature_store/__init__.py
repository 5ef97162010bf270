"""The feature store: Feast in an environment of its own, its repository, and its online and historical values.

What belongs here: everything that calls Feast, which runs in another process and another virtualenv
(`feast_process`). What does not: how features are computed (`include.features`).
"""
