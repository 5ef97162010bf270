-- A dataset's loads, the newest first. A load is all that one run of a DAG brought. A run notes an entry per file or
-- batch, for a minute or longer, so a DAG's newest run may be half noted: it counts only once it has been quiet for
-- five minutes. Older runs have ended, for a DAG of this dataset has one at a time. A run that brought nothing but
-- deletes has no rows to compare.
SELECT
    rows_read,
    loaded_at
FROM (
    SELECT
        sum(rows_read) FILTER (WHERE status IN ('loaded', 'archived') AND rows_read > 0)::bigint AS rows_read,
        max(loaded_at) FILTER (WHERE status IN ('loaded', 'archived')) AS loaded_at,
        max(coalesce(loaded_at, settled_at, processed_at, validated_at, claimed_at)) AS heard_of_at,
        row_number() OVER (
            PARTITION BY dag_id
            ORDER BY max(coalesce(loaded_at, settled_at, processed_at, validated_at, claimed_at)) DESC
        ) AS place
    FROM ops.file_ingestion_log
    WHERE dataset = %(dataset)s
    GROUP BY dag_id, coalesce(run_id, file_id::text)
) AS runs
WHERE rows_read IS NOT NULL AND (place > 1 OR heard_of_at < now() - interval '5 minutes')
ORDER BY loaded_at DESC
LIMIT %(most)s;
