-- title: Failed files by day
-- chart: bar
-- x: claimed_on
-- y: [files_failed]
-- series: dataset
-- stacked: true
-- columns:
--   claimed_on: {label: Day, format: date}
--   dataset: {label: Dataset}
--   files_failed: {label: Files failed, format: integer}
-- filters: {start_date: date, end_date: date, dataset: text}
SELECT
    claimed_on,
    dataset,
    files_failed
FROM analytics.ingestion_health
WHERE
    files_failed > 0
    AND claimed_on >= %(start_date)s
    AND claimed_on <= %(end_date)s
    AND dataset = %(dataset)s
ORDER BY claimed_on, dataset
