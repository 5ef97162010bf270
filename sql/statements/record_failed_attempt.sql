-- Note an attempt that failed before its row was committed, as with a wrong connection. Nothing if it has one.
INSERT INTO ops.source_run (source, element, dag_id, run_id, started_at, ended_at, status, error_code, error_message)
SELECT
    %(source)s::text AS source,
    %(element)s::text AS element,
    %(dag_id)s::text AS dag_id,
    %(run_id)s::text AS run_id,
    now() AS started_at,
    now() AS ended_at,
    'failed' AS status,
    %(code)s::text AS error_code,
    %(message)s::text AS error_message
WHERE
    NOT EXISTS (
        SELECT FROM ops.source_run AS own
        WHERE own.source_run_id = %(source_run_id)s::bigint
    )
RETURNING source_run_id;
