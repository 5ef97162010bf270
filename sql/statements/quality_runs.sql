-- The newest checks of each table with their results. Table names and checks are read from the index on dataset and
-- time, so the cost does not grow with the number of stored results.
WITH RECURSIVE tables AS (
    (
        SELECT dataset FROM ops.quality_result
        WHERE file_id IS NULL
        ORDER BY dataset
        LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT following.dataset FROM ops.quality_result AS following
        WHERE following.file_id IS NULL AND following.dataset > tables.dataset
        ORDER BY following.dataset
        LIMIT 1
    )
    FROM tables
    WHERE tables.dataset IS NOT NULL
)

SELECT
    tables.dataset,
    runs.checked_at,
    runs.checks,
    runs.passed,
    runs.critical,
    runs.warnings
FROM tables
CROSS JOIN
    LATERAL (
        SELECT
            checked_at,
            count(*) AS checks,
            count(*) FILTER (WHERE success) AS passed,
            count(*) FILTER (WHERE NOT success AND severity = 'critical') AS critical,
            count(*) FILTER (WHERE NOT success AND severity = 'warning') AS warnings
        FROM ops.quality_result
        WHERE file_id IS NULL AND dataset = tables.dataset
        GROUP BY checked_at
        ORDER BY checked_at DESC
        LIMIT %(kept)s
    ) AS runs
ORDER BY tables.dataset ASC, runs.checked_at DESC;
