SELECT
    sha,
    repository,
    authored_at,
    message,
    author_email,
    comment_count,
    -- Commits with equal times have equal ranks, so they do not count each other.
    rank() OVER history - 1 AS author_commits_before,
    (
        extract(EPOCH FROM authored_at - max(authored_at) OVER earlier) / 3600
    )::double precision AS hours_since_author_commit,
    {{ email_domain("author_email") }} AS author_domain,
    {{ is_company_email("author_email") }} AS is_company_email,
    CASE WHEN btrim(message) = '' THEN 0 ELSE cardinality(regexp_split_to_array(btrim(message), '\s+')) END
        AS message_words,
    message ~ '(^|\W)#\d+' OR message ~* '\m(close[sd]?|fix(e[sd])?|resolve[sd]?):?\s+#' AS has_reference,
    is_weekend,
    is_business_hours,
    hour,
    weekday,
    is_merge
FROM {{ ref("stg_commits") }}
WINDOW
    history AS (PARTITION BY repository, author ORDER BY authored_at),
    earlier AS (
        PARTITION BY repository, author ORDER BY authored_at GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
