"""The lakehouse: tables of the warehouse as Parquet files with snapshots, in DuckLake, read by DuckDB."""
