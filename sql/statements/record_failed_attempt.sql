-- Note an attempt that failed before it wrote its row, as with a wrong connection. Nothing if it wrote one.
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
        WHERE
            own.source = %(source)s AND own.element = %(element)s
            AND own.dag_id = %(dag_id)s AND own.run_id = %(run_id)s
            AND own.started_at >= now() - %(took)s::interval
    )
RETURNING source_run_id;
