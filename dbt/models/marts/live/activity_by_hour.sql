WITH hours AS (
    SELECT
        weekday,
        hour
    FROM generate_series(1, 7) AS weekday
    CROSS JOIN generate_series(0, 23) AS hour
),

events AS (
    SELECT
        *,
        extract(ISODOW FROM created_at AT TIME ZONE 'UTC')::integer AS weekday,
        extract(HOUR FROM created_at AT TIME ZONE 'UTC')::integer AS hour
    FROM {{ ref("stg_github_events") }}
)

SELECT
    hours.weekday,
    hours.hour,
    count(events.event_id) AS events,
    count(DISTINCT events.actor_login) FILTER (WHERE NOT events.is_bot) AS developers,
    count(events.event_id)::double precision / nullif(sum(count(events.event_id)) OVER (), 0)::double precision
        AS events_share
FROM hours
LEFT JOIN events ON hours.weekday = events.weekday AND hours.hour = events.hour
GROUP BY hours.weekday, hours.hour
