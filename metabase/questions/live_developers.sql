-- title: Top 10 developers by events
-- description: Without bots.
-- chart: row
-- x: actor_login
-- y: [events]
-- columns:
--   actor_login: {label: Account}
--   events: {label: Events, format: integer}
-- filters: {start_date: date, end_date: date}
SELECT
    actor_login,
    sum(events)::bigint AS events
FROM analytics.developer_insights
WHERE
    NOT is_bot
    AND day >= %(start_date)s
    AND day <= %(end_date)s
GROUP BY actor_login
ORDER BY events DESC, actor_login ASC
LIMIT 10
