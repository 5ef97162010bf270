"""Sample data made from any contract: good, bad in named ways, reproducible, of any size.

What belongs here: making files up. What does not: judging them (`include.ingestion`), describing them
(`include.contracts`).
"""
