-- title: Commits
-- chart: scalar
-- y: [commits]
-- columns:
--   commits: {label: Commits, format: integer}
-- filters: {repository: text}
SELECT sum(commits)::bigint AS commits
FROM analytics.commit_metrics
WHERE
    TRUE
    AND repository = %(repository)s
