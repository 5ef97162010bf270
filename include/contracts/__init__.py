"""Reads the Open Data Contract Standard YAML of each dataset, and compiles it.

What belongs here: reading, checking and describing contracts. What does not: the contracts themselves (`contracts/` at
the top), drafting one (`include.ingestion.drafting`), processing data (`include.ingestion`) or generating it
(`include.samples`).
"""
