-- title: Freshness
-- description: Hours since the last load of each dataset, and the number of its unsettled files.
-- chart: table
-- columns:
--   dataset: {label: Dataset}
--   last_loaded_at: {label: Last load (UTC), format: time}
--   hours_since_load: {label: Hours ago, format: decimal}
--   in_flight: {label: In flight, format: integer}
--   files: {label: All files, format: integer}
-- filters: {dataset: text}
SELECT
    dataset,
    max(loaded_at) AT TIME ZONE 'UTC' AS last_loaded_at,
    (extract(EPOCH FROM now() - max(loaded_at)) / 3600)::numeric(20, 1) AS hours_since_load,
    count(*) FILTER (WHERE settled_at IS NULL) AS in_flight,
    count(*) AS files
FROM ops.file_ingestion_log
WHERE
    TRUE
    AND dataset = %(dataset)s
GROUP BY dataset
ORDER BY last_loaded_at ASC NULLS FIRST, dataset ASC
