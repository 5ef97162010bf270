-- title: Events by hour of the day
-- description: Of all time. Hours are UTC.
-- chart: bar
-- x: hour
-- y: [events]
-- columns:
--   hour: {label: Hour, format: integer}
--   events: {label: Events, format: integer}
SELECT
    hour,
    sum(events)::bigint AS events
FROM analytics.activity_by_hour
GROUP BY hour
ORDER BY hour
