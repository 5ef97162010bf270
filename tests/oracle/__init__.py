"""An independent reference: what must load, and what must be refused with which code.

What belongs here: plain Python that judges the bytes of a file by a contract. What does not: DuckDB, Arrow except for
opening Parquet, and any code of include/ingestion.
"""
