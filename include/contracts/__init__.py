"""Reads the Open Data Contract Standard YAML of each dataset, and compiles it.

What belongs here: reading, checking, drafting and describing contracts. What does not: the contracts themselves
(`contracts/` at the top), processing data (`include.ingestion`) or generating it (`include.samples`).
"""
