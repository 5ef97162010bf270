-- title: Rows read
-- chart: scalar
-- y: [rows_read]
-- columns:
--   rows_read: {label: Rows read, format: integer}
-- filters: {start_date: date, end_date: date, dataset: text}
SELECT sum(rows_read)::bigint AS rows_read
FROM analytics.ingestion_health
WHERE
    TRUE
    AND claimed_on >= %(start_date)s
    AND claimed_on <= %(end_date)s
    AND dataset = %(dataset)s
