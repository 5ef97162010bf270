WITH authors AS (
    SELECT
        repository,
        author,
        (array_agg(author_name ORDER BY authored_at DESC, sha ASC))[1] AS author_name,
        count(*) AS commits,
        count(*) FILTER (WHERE is_merge) AS merge_commits,
        min(authored_at) AS first_commit_at,
        max(authored_at) AS last_commit_at,
        count(DISTINCT date_trunc('day', authored_at, 'UTC')) AS active_days,
        avg(message_length)::numeric(20, 1) AS average_message_length,
        count(*) FILTER (WHERE is_night) AS night_commits,
        count(*) FILTER (WHERE is_weekend) AS weekend_commits,
        count(*) FILTER (WHERE is_business_hours) AS business_hours_commits,
        sum(comment_count)::bigint AS comments,
        count(*) FILTER (WHERE is_verified) AS verified_commits,
        (count(*) FILTER (WHERE is_verified)::numeric / nullif(count(is_verified), 0))::numeric(7, 6) AS verified_share
    FROM {{ ref("stg_commits") }}
    GROUP BY repository, author
),

shares AS (
    SELECT
        *,
        (commits / sum(commits) OVER (PARTITION BY repository))::numeric(7, 6) AS commit_share
    FROM authors
)

SELECT
    repository,
    author,
    author_name,
    commits,
    commit_share,
    merge_commits,
    (merge_commits::numeric / commits)::numeric(7, 6) AS merge_share,
    first_commit_at,
    last_commit_at,
    active_days,
    average_message_length,
    night_commits,
    (night_commits::numeric / commits)::numeric(7, 6) AS night_share,
    weekend_commits,
    (weekend_commits::numeric / commits)::numeric(7, 6) AS weekend_share,
    business_hours_commits,
    (business_hours_commits::numeric / commits)::numeric(7, 6) AS business_hours_share,
    comments,
    (comments::numeric / commits)::numeric(20, 6) AS comments_per_commit,
    verified_commits,
    verified_share,
    CASE
        WHEN commits = 1 THEN 'one-time'
        WHEN commits < {{ var("regular_author_commits") }} THEN 'occasional'
        WHEN commit_share < {{ var("core_author_share") }} THEN 'regular'
        ELSE 'core'
    END AS activity
FROM shares
