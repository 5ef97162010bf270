-- A dataset's loads, the newest first. A load is all that one run of a DAG brought.
SELECT
    sum(rows_read)::bigint AS rows_read,
    max(loaded_at) AS loaded_at
FROM ops.file_ingestion_log
WHERE dataset = %(dataset)s AND status IN ('loaded', 'archived')
GROUP BY dag_id, coalesce(run_id, file_id::text)
ORDER BY loaded_at DESC
LIMIT %(most)s;
