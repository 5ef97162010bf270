"""One Open Data Contract Standard YAML per dataset, and the reader that compiles it.

What belongs here: contracts, reading, checking, drafting and describing them. What does not: anything that
touches the data itself (`include.ingestion`) or makes some up (`include.samples`).
"""
