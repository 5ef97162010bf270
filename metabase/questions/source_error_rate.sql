-- title: Runs failed
-- description: A run of each element counts; retries count, too.
-- chart: scalar
-- y: [error_rate]
-- columns:
--   error_rate: {label: Failed of all ended runs, format: share}
-- filters: {start_date: date, end_date: date, source: text}
SELECT
    (
        count(*) FILTER (WHERE status = 'failed')::numeric / nullif(count(*) FILTER (WHERE status <> 'running'), 0)
    )::numeric(7, 6) AS error_rate
FROM ops.source_run
WHERE
    TRUE
    AND (started_at AT TIME ZONE 'UTC')::date >= %(start_date)s
    AND (started_at AT TIME ZONE 'UTC')::date <= %(end_date)s
    AND source = %(source)s
