-- title: Commits by kind of author
-- chart: pie
-- x: activity
-- y: [commits]
-- columns:
--   activity: {label: Kind of author}
--   commits: {label: Commits, format: integer}
-- filters: {repository: text}
SELECT
    activity,
    sum(commits)::bigint AS commits
FROM analytics.commit_metrics
WHERE
    TRUE
    AND repository = %(repository)s
GROUP BY activity
ORDER BY commits DESC, activity ASC
