-- title: Events by day and kind
-- chart: bar
-- x: day
-- y: [pushes, pull_requests, issues, comments, stars, other_events]
-- stacked: true
-- columns:
--   day: {label: Day, format: date}
--   pushes: {label: Pushes, format: integer}
--   pull_requests: {label: Pull requests, format: integer}
--   issues: {label: Issues, format: integer}
--   comments: {label: Comments, format: integer}
--   stars: {label: Stars, format: integer}
--   other_events: {label: Others, format: integer}
-- filters: {start_date: date, end_date: date}
SELECT
    day,
    sum(pushes)::bigint AS pushes,
    sum(pull_requests)::bigint AS pull_requests,
    sum(issues)::bigint AS issues,
    sum(comments)::bigint AS comments,
    sum(stars)::bigint AS stars,
    sum(other_events)::bigint AS other_events
FROM analytics.repository_insights
WHERE
    TRUE
    AND day >= %(start_date)s
    AND day <= %(end_date)s
GROUP BY day
ORDER BY day
