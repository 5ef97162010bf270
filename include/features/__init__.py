"""Features for models: definitions of features/*.yaml, their SQL, their tables, and the parameters of normalisation.

What belongs here: how rows of raw tables become rows of features, correct at a point in time. What does not: training
(`include.ml`), contracts of the raw tables (`include.contracts`).
"""
