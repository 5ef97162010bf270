-- title: Records delivered by day
-- chart: bar
-- x: started_on
-- y: [records]
-- series: source
-- stacked: true
-- columns:
--   started_on: {label: Day, format: date}
--   source: {label: Source}
--   records: {label: Records delivered, format: integer}
-- filters: {start_date: date, end_date: date, source: text}
SELECT
    (started_at AT TIME ZONE 'UTC')::date AS started_on,
    source,
    sum(records_written)::bigint AS records
FROM ops.source_run
WHERE
    records_written > 0
    AND (started_at AT TIME ZONE 'UTC')::date >= %(start_date)s
    AND (started_at AT TIME ZONE 'UTC')::date <= %(end_date)s
    AND source = %(source)s
GROUP BY started_on, source
ORDER BY started_on, source
