"""Reads tables and queries of PostgreSQL, MySQL and MariaDB: batches of rows become one Parquet file or messages."""
