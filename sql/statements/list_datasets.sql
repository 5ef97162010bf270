-- What the ledger holds of each dataset, and what the last sweep found in incoming/.
WITH entered AS (
    SELECT
        dataset,
        max(loaded_at) AS last_loaded,
        count(*) FILTER (WHERE status IN ('loaded', 'archived')) AS files,
        coalesce(
            sum(rows_inserted + rows_updated + rows_unchanged) FILTER (WHERE status IN ('loaded', 'archived')), 0
        )::bigint AS rows,
        count(*) FILTER (WHERE status LIKE '%%_failed') AS failed,
        count(*) FILTER (WHERE settled_at IS NULL) AS waiting
    FROM ops.file_ingestion_log
    GROUP BY dataset
),

incoming AS (
    SELECT
        dataset,
        sum(files)::bigint AS files
    FROM ops.incoming_files
    GROUP BY dataset
)

SELECT
    e.last_loaded,
    coalesce(e.dataset, i.dataset) AS dataset,
    coalesce(e.files, 0) AS files,
    coalesce(e.rows, 0) AS rows,
    coalesce(e.failed, 0) AS failed,
    coalesce(e.waiting, 0) AS waiting,
    coalesce(i.files, 0) AS incoming
FROM entered AS e
FULL JOIN incoming AS i ON e.dataset = i.dataset;
