"""An independent reference: what must load, and what must be refused with which code.

What belongs here: plain Python that judges a contract and the bytes of a file. What does not: DuckDB, Arrow for
anything but opening Parquet, and any code of include/ingestion.
"""
