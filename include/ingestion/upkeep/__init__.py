"""What is done with files beside the pipeline: in the bucket and the ledger, each by a module of its name.

A user asks for requeue, reload, replay and remove (`filegate reprocess`, `reload`, `remove`); DAGs run sweep and purge
(`include.orchestration.file_moves`, `maintenance`). Airflow's own database is cleaned by
`local.services.airflow_cleanup`.
"""
