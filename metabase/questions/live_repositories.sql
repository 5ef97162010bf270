-- title: Top 10 repositories by events
-- chart: row
-- x: repository
-- y: [events]
-- columns:
--   repository: {label: Repository}
--   events: {label: Events, format: integer}
-- filters: {start_date: date, end_date: date}
SELECT
    repository,
    sum(events)::bigint AS events
FROM analytics.repository_insights
WHERE
    TRUE
    AND day >= %(start_date)s
    AND day <= %(end_date)s
GROUP BY repository
ORDER BY events DESC, repository ASC
LIMIT 10
