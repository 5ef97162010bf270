-- title: In business hours
-- description: From Monday to Friday, 9 to 17 UTC.
-- chart: scalar
-- y: [business_hours_share]
-- columns:
--   business_hours_share: {label: In business hours, format: share}
-- filters: {repository: text}
SELECT (sum(business_hours_commits) / nullif(sum(commits), 0))::numeric(7, 6) AS business_hours_share
FROM analytics.commit_metrics
WHERE
    TRUE
    AND repository = %(repository)s
