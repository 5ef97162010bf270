-- A dataset's loads, the newest first. A load is the rows of one DAG run. A run may add entries for a minute or longer,
-- so a DAG's newest run counts only after five minutes without a change. Older runs have ended, because a DAG of this
-- dataset has one active run at a time. A run with deletes only has no rows to compare.
SELECT
    rows_read,
    loaded_at
FROM (
    SELECT
        sum(rows_read) FILTER (WHERE status IN ('loaded', 'archived') AND rows_read > 0)::bigint AS rows_read,
        max(loaded_at) FILTER (WHERE status IN ('loaded', 'archived')) AS loaded_at,
        max(coalesce(loaded_at, settled_at, processed_at, validated_at, claimed_at)) AS changed_at,
        row_number() OVER (
            PARTITION BY dag_id
            ORDER BY max(coalesce(loaded_at, settled_at, processed_at, validated_at, claimed_at)) DESC
        ) AS run_rank
    FROM ops.file_ingestion_log
    WHERE dataset = %(dataset)s
    GROUP BY dag_id, coalesce(run_id, file_id::text)
) AS runs
WHERE rows_read IS NOT NULL AND (run_rank > 1 OR changed_at < now() - interval '5 minutes')
ORDER BY loaded_at DESC
LIMIT %(most)s;
