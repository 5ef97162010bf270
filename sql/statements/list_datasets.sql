-- What the ledger holds of each dataset, and what the last sweep found in incoming/.
SELECT
    dataset,
    coalesce(loaded.files, 0) AS files,
    coalesce(loaded.rows, 0) AS rows,
    coalesce(loaded.failed, 0) AS failed,
    coalesce(loaded.waiting, 0) AS waiting,
    coalesce(incoming.files, 0)::bigint AS incoming,
    loaded.last_loaded
FROM (
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
    GROUP BY dataset
) AS loaded
FULL JOIN (
    SELECT
        dataset,
        sum(files) AS files
    FROM ops.incoming_files
    GROUP BY dataset
) AS incoming USING (dataset);
