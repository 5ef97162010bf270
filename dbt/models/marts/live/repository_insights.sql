{{ config(
    materialized="incremental",
    incremental_strategy="delete+insert",
    unique_key="day",
    on_schema_change="fail",
    indexes=[{"columns": ["day", "repository"], "unique": true}],
    post_hook="DELETE FROM {{ this }} WHERE day NOT IN (
        SELECT (created_at AT TIME ZONE 'UTC')::date FROM {{ ref('stg_github_events') }}
    )"
) }}

WITH all_events AS (
    SELECT
        *,
        (created_at AT TIME ZONE 'UTC')::date AS day
    FROM {{ ref("stg_github_events") }}
),

versions AS (
    SELECT
        day,
        {{ rows_version(["event_id"]) }} AS rows_version
    FROM all_events
    GROUP BY day
),

changed AS (
    {{ changed_windows("versions", ["day"], is_incremental()) }}
),

events AS (
    SELECT
        all_events.*,
        extract(HOUR FROM all_events.created_at AT TIME ZONE 'UTC')::integer AS hour
    FROM all_events
    INNER JOIN changed ON all_events.day = changed.day
),

counted_hours AS (
    SELECT
        day,
        repository,
        hour,
        count(*) AS events
    FROM events
    GROUP BY day, repository, hour
),

busiest_hours AS (
    SELECT DISTINCT ON (day, repository)
        day,
        repository,
        hour AS busiest_hour
    FROM counted_hours
    ORDER BY day ASC, repository ASC, events DESC, hour ASC
),

counted_developers AS (
    SELECT
        day,
        repository,
        actor_login,
        count(*) AS events
    FROM events
    WHERE NOT is_bot
    GROUP BY day, repository, actor_login
),

top_developers AS (
    SELECT DISTINCT ON (day, repository)
        day,
        repository,
        actor_login AS top_developer
    FROM counted_developers
    ORDER BY day ASC, repository ASC, events DESC, actor_login COLLATE "C" ASC
),

daily AS (
    SELECT
        day,
        repository,
        count(*) AS events,
        count(DISTINCT actor_login) FILTER (WHERE NOT is_bot) AS developers,
        count(*) FILTER (WHERE event_type = 'Push') AS pushes,
        count(*) FILTER (WHERE event_type = 'PullRequest') AS pull_requests,
        count(*) FILTER (WHERE event_type = 'Issues') AS issues,
        count(*) FILTER (WHERE event_type IN ('IssueComment', 'CommitComment', 'PullRequestReviewComment')) AS comments,
        count(*) FILTER (WHERE event_type = 'Watch') AS stars
    FROM events
    GROUP BY day, repository
)

SELECT
    daily.day,
    daily.repository,
    daily.events,
    daily.developers,
    daily.pushes,
    daily.pull_requests,
    daily.issues,
    daily.comments,
    daily.stars,
    daily.events - daily.pushes - daily.pull_requests - daily.issues - daily.comments - daily.stars AS other_events,
    busiest_hours.busiest_hour,
    top_developers.top_developer,
    rank() OVER (PARTITION BY daily.day ORDER BY daily.events DESC) AS rank_in_day,
    versions.rows_version
FROM daily
INNER JOIN versions ON daily.day = versions.day
INNER JOIN busiest_hours ON daily.day = busiest_hours.day AND daily.repository = busiest_hours.repository
LEFT JOIN top_developers ON daily.day = top_developers.day AND daily.repository = top_developers.repository
