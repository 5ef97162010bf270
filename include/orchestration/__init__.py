"""The only room that imports Airflow: DAG factories and the glue between tasks and stages."""
