-- title: Records read
-- description: Records of the answers of all sources.
-- chart: scalar
-- y: [records]
-- columns:
--   records: {label: Records read, format: integer}
-- filters: {start_date: date, end_date: date, source: text}
SELECT sum(records_read)::bigint AS records
FROM ops.source_run
WHERE
    TRUE
    AND (started_at AT TIME ZONE 'UTC')::date >= %(start_date)s
    AND (started_at AT TIME ZONE 'UTC')::date <= %(end_date)s
    AND source = %(source)s
