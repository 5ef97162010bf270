-- title: Busiest authors
-- chart: row
-- x: author
-- y: [commits]
-- columns:
--   author: {label: Author}
--   commits: {label: Commits, format: integer}
-- filters: {repository: text}
SELECT
    (array_agg(author_name ORDER BY last_commit_at DESC, repository ASC))[1] AS author,
    sum(commits)::bigint AS commits
FROM analytics.commit_metrics
WHERE
    TRUE
    AND repository = %(repository)s
GROUP BY commit_metrics.author
ORDER BY commits DESC, commit_metrics.author ASC
LIMIT 10
