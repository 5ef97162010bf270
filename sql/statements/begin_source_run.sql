INSERT INTO ops.source_run (source, element, dag_id, run_id)
VALUES (%(source)s, %(element)s, %(dag_id)s, %(run_id)s)
RETURNING source_run_id, started_at;
