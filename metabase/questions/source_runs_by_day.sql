-- title: Runs by day and status
-- chart: bar
-- x: started_on
-- y: [runs]
-- series: status
-- stacked: true
-- columns:
--   started_on: {label: Day, format: date}
--   status: {label: Status}
--   runs: {label: Runs, format: integer}
-- filters: {start_date: date, end_date: date, source: text}
SELECT
    (started_at AT TIME ZONE 'UTC')::date AS started_on,
    status,
    count(*) AS runs
FROM ops.source_run
WHERE
    TRUE
    AND (started_at AT TIME ZONE 'UTC')::date >= %(start_date)s
    AND (started_at AT TIME ZONE 'UTC')::date <= %(end_date)s
    AND source = %(source)s
GROUP BY started_on, status
ORDER BY started_on, status
