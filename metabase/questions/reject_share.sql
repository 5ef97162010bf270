-- title: Rows rejected
-- chart: scalar
-- y: [reject_share]
-- columns:
--   reject_share: {label: Rejected of all rows read, format: share}
-- filters: {start_date: date, end_date: date, dataset: text}
SELECT (sum(rows_rejected)::numeric / nullif(sum(rows_read), 0))::numeric(7, 6) AS reject_share
FROM analytics.ingestion_health
WHERE
    TRUE
    AND claimed_on >= %(start_date)s
    AND claimed_on <= %(end_date)s
    AND dataset = %(dataset)s
