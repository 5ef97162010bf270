-- title: Authors
-- chart: scalar
-- y: [authors]
-- columns:
--   authors: {label: Authors, format: integer}
-- filters: {repository: text}
SELECT count(DISTINCT author) AS authors
FROM analytics.commit_metrics
WHERE
    TRUE
    AND repository = %(repository)s
