-- The elements whose last attempt in a run of a source failed, with code and message. The run has ended: an attempt
-- that seems to be running has died.
SELECT
    element,
    coalesce(error_code, 'worker-died') AS error_code,
    coalesce(error_message, '') AS error_message
FROM (
    SELECT DISTINCT ON (element)
        element,
        status,
        error_code,
        error_message
    FROM ops.source_run
    WHERE source = %(source)s AND dag_id = %(dag_id)s AND run_id = %(run_id)s
    ORDER BY element ASC, started_at DESC
) AS last_attempt
WHERE status <> 'success'
ORDER BY element;
