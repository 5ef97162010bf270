"""One Open Data Contract Standard YAML per dataset, and the reader that compiles it.

What belongs here: contracts, and reading, checking, drafting and describing them. What does not: processing data
(`include.ingestion`) or generating it (`include.samples`).
"""
