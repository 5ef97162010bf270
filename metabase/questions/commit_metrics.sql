-- title: Authors by repository
-- description: The 50 authors with most commits. Nights (22 to 6) and weekends are UTC.
-- chart: table
-- columns:
--   repository: {label: Repository}
--   author_name: {label: Author}
--   activity: {label: Kind}
--   commits: {label: Commits, format: integer}
--   commit_share: {label: Share, format: share}
--   merge_share: {label: Merges, format: share}
--   night_share: {label: At night, format: share}
--   weekend_share: {label: At weekends, format: share}
--   verified_share: {label: Verified, format: share}
--   last_commit_at: {label: Last commit (UTC), format: time}
-- filters: {repository: text}
SELECT
    repository,
    author_name,
    activity,
    commits,
    commit_share,
    merge_share,
    night_share,
    weekend_share,
    verified_share,
    last_commit_at AT TIME ZONE 'UTC' AS last_commit_at
FROM analytics.commit_metrics
WHERE
    TRUE
    AND repository = %(repository)s
ORDER BY commits DESC, repository ASC, author ASC
LIMIT 50
