-- The newest checks of each table, with how they went.
SELECT
    dataset,
    checked_at,
    checks,
    passed,
    critical,
    warnings
FROM (
    SELECT
        dataset,
        checked_at,
        count(*) AS checks,
        count(*) FILTER (WHERE success) AS passed,
        count(*) FILTER (WHERE NOT success AND severity = 'critical') AS critical,
        count(*) FILTER (WHERE NOT success AND severity = 'warning') AS warnings,
        row_number() OVER (PARTITION BY dataset ORDER BY checked_at DESC) AS place
    FROM ops.quality_result
    WHERE file_id IS NULL
    GROUP BY dataset, checked_at
) AS runs
WHERE place <= %(kept)s
ORDER BY dataset ASC, checked_at DESC;
