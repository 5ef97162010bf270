-- title: Files by status
-- chart: row
-- x: status
-- y: [files]
-- columns:
--   status: {label: Status}
--   files: {label: Files, format: integer}
-- filters: {start_date: date, end_date: date, dataset: text}
SELECT
    status,
    count(*) AS files
FROM ops.file_ingestion_log
WHERE
    TRUE
    AND (claimed_at AT TIME ZONE 'UTC')::date >= %(start_date)s
    AND (claimed_at AT TIME ZONE 'UTC')::date <= %(end_date)s
    AND dataset = %(dataset)s
GROUP BY status
ORDER BY files DESC, status ASC
