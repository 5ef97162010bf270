SELECT
    sha,
    authored_at,
    message,
    author_email,
    comment_count,
    author_commits_before,
    hours_since_author_commit,
    is_company_email,
    is_merge
FROM analytics.ml_features
ORDER BY sha;
