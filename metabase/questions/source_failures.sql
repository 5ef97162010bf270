-- title: Latest failures of sources
-- chart: table
-- columns:
--   started_at: {label: When (UTC), format: time}
--   source: {label: Source}
--   element: {label: Element}
--   error_code: {label: Code}
--   error_message: {label: What happened}
-- filters: {start_date: date, end_date: date, source: text}
SELECT
    started_at AT TIME ZONE 'UTC' AS started_at,
    source,
    element,
    error_code,
    left(error_message, 300) AS error_message
FROM ops.source_run
WHERE
    status = 'failed'
    AND (source_run.started_at AT TIME ZONE 'UTC')::date >= %(start_date)s
    AND (source_run.started_at AT TIME ZONE 'UTC')::date <= %(end_date)s
    AND source = %(source)s
ORDER BY source_run_id DESC
LIMIT 20
