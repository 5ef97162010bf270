"""Sample data for any contract: good or with named faults, reproducible, of any size.

What belongs here: generating files. What does not: validating them (`include.ingestion`), describing them
(`include.contracts`).
"""
