"""The library behind the DAGs: importable, testable and free of Airflow but for `orchestration`.

Arrows of import point one way: orchestration -> ingestion, samples -> stores, contracts -> settings, errors.
"""
