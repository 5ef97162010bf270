"""The only package that imports Airflow: DAG factories, and the glue between tasks and pipeline stages."""
