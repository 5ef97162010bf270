{{ config(
    materialized="incremental",
    incremental_strategy="delete+insert",
    unique_key="day",
    on_schema_change="fail",
    indexes=[{"columns": ["day", "actor_login"], "unique": true}],
    post_hook="DELETE FROM {{ this }} WHERE day NOT IN (
        SELECT (created_at AT TIME ZONE 'UTC')::date FROM {{ ref('stg_github_events') }} WHERE actor_login IS NOT NULL
    )"
) }}

WITH events AS (
    SELECT
        *,
        (created_at AT TIME ZONE 'UTC')::date AS day
    FROM {{ ref("stg_github_events") }}
    WHERE actor_login IS NOT NULL
),

versions AS (
    SELECT
        day,
        {{ rows_version(["event_id"]) }} AS rows_version
    FROM events
    GROUP BY day
),

changed AS (
    {{ changed_windows("versions", ["day"], is_incremental()) }}
),

built AS (
    -- A day counts in events_7_days of the 6 days after it.
    SELECT
        versions.day,
        versions.rows_version
    FROM versions
    WHERE
        EXISTS (
            SELECT 1
            FROM changed
            WHERE versions.day BETWEEN changed.day AND changed.day + 6
        )
),

counted_repositories AS (
    SELECT
        day,
        actor_login,
        repository,
        count(*) AS events
    FROM events
    GROUP BY day, actor_login, repository
),

top_repositories AS (
    SELECT DISTINCT ON (day, actor_login)
        day,
        actor_login,
        repository AS top_repository
    FROM counted_repositories
    ORDER BY day ASC, actor_login ASC, events DESC, repository COLLATE "C" ASC
),

daily AS (
    SELECT
        day,
        actor_login,
        is_bot,
        count(*) AS events,
        count(*) FILTER (WHERE event_type = 'Push') AS pushes,
        count(*) FILTER (WHERE event_type = 'PullRequest' AND action = 'opened') AS pull_requests_opened,
        count(*) FILTER (WHERE event_type = 'PullRequest' AND action IN ('closed', 'merged')) AS pull_requests_closed,
        count(*) FILTER (WHERE event_type = 'PullRequestReview') AS reviews,
        count(*) FILTER (WHERE event_type = 'Issues' AND action = 'opened') AS issues_opened,
        count(*) FILTER (WHERE event_type IN ('IssueComment', 'CommitComment', 'PullRequestReviewComment')) AS comments,
        count(*) FILTER (WHERE event_type = 'Watch') AS stars,
        count(DISTINCT repository) AS repositories,
        count(DISTINCT extract(HOUR FROM created_at AT TIME ZONE 'UTC')) AS active_hours
    FROM events
    GROUP BY day, actor_login, is_bot
),

ranked AS (
    SELECT
        *,
        sum(events) OVER (
            PARTITION BY actor_login ORDER BY day RANGE BETWEEN INTERVAL '6 days' PRECEDING AND CURRENT ROW
        )::bigint AS events_7_days,
        -- Bots are a partition of their own, so they do not change the ranks of developers.
        CASE WHEN NOT is_bot THEN rank() OVER (PARTITION BY day, is_bot ORDER BY events DESC) END AS rank_in_day
    FROM daily
)

SELECT
    ranked.day,
    ranked.actor_login,
    ranked.is_bot,
    ranked.events,
    ranked.pushes,
    ranked.pull_requests_opened,
    ranked.pull_requests_closed,
    ranked.reviews,
    ranked.issues_opened,
    ranked.comments,
    ranked.stars,
    ranked.events - ranked.pushes - ranked.pull_requests_opened - ranked.pull_requests_closed - ranked.reviews
    - ranked.issues_opened - ranked.comments - ranked.stars AS other_events,
    ranked.repositories,
    top_repositories.top_repository,
    ranked.active_hours,
    ranked.events_7_days,
    ranked.rank_in_day,
    built.rows_version
FROM ranked
INNER JOIN built ON ranked.day = built.day
INNER JOIN top_repositories ON ranked.day = top_repositories.day AND ranked.actor_login = top_repositories.actor_login
