-- title: Merges
-- chart: scalar
-- y: [merge_share]
-- columns:
--   merge_share: {label: Merges of all commits, format: share}
-- filters: {repository: text}
SELECT (sum(merge_commits) / nullif(sum(commits), 0))::numeric(7, 6) AS merge_share
FROM analytics.commit_metrics
WHERE
    TRUE
    AND repository = %(repository)s
