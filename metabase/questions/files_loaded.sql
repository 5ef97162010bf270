-- title: Files loaded
-- chart: scalar
-- y: [files]
-- columns:
--   files: {label: Files loaded, format: integer}
-- filters: {start_date: date, end_date: date, dataset: text}
SELECT sum(files_loaded)::bigint AS files
FROM analytics.ingestion_health
WHERE
    TRUE
    AND claimed_on >= %(start_date)s
    AND claimed_on <= %(end_date)s
    AND dataset = %(dataset)s
