-- title: Requests
-- chart: scalar
-- y: [requests]
-- columns:
--   requests: {label: Requests, format: integer}
-- filters: {start_date: date, end_date: date, source: text}
SELECT sum(requests)::bigint AS requests
FROM ops.source_run
WHERE
    TRUE
    AND (started_at AT TIME ZONE 'UTC')::date >= %(start_date)s
    AND (started_at AT TIME ZONE 'UTC')::date <= %(end_date)s
    AND source = %(source)s
