-- What the ledger holds of each dataset.
SELECT
    dataset,
    count(*) FILTER (WHERE status IN ('loaded', 'archived')) AS files,
    coalesce(
        sum(rows_inserted + rows_updated + rows_unchanged) FILTER (WHERE status IN ('loaded', 'archived')), 0
    )::bigint AS rows,
    count(*) FILTER (WHERE status LIKE '%%_failed') AS failed,
    count(*) FILTER (WHERE settled_at IS NULL) AS waiting,
    max(loaded_at) AS last_loaded
FROM ops.file_ingestion_log
GROUP BY dataset;
