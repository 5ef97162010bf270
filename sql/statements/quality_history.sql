-- The results of a table at each of its last checks, and at the last check of each earlier day (UTC). The times are read
-- from the index on dataset and time, so the cost does not grow with the number of stored results.
WITH recent AS (
    SELECT checked_at
    FROM ops.quality_result
    WHERE file_id IS NULL AND dataset = %(dataset)s
    GROUP BY checked_at
    ORDER BY checked_at DESC
    LIMIT %(kept)s
),

oldest AS (
    SELECT
        min(checked_at) AS checked_at,
        date_trunc('day', min(checked_at), 'UTC') AS day
    FROM recent
),

earlier AS (
    SELECT last_of_day.checked_at
    FROM oldest
    CROSS JOIN generate_series(0, %(days)s) AS back
    CROSS JOIN
        LATERAL (
            SELECT result.checked_at
            FROM ops.quality_result AS result
            WHERE
                result.file_id IS NULL
                AND result.dataset = %(dataset)s
                AND result.checked_at >= oldest.day - make_interval(hours => 24 * back)
                AND result.checked_at < least(oldest.day - make_interval(hours => 24 * (back - 1)), oldest.checked_at)
            ORDER BY result.checked_at DESC
            LIMIT 1
        ) AS last_of_day
),

points AS (
    SELECT checked_at FROM recent
    UNION ALL
    SELECT checked_at FROM earlier
)

SELECT
    result.checked_at,
    result.expectation,
    result.column_name,
    result.severity,
    result.success,
    result.observed
FROM points
INNER JOIN ops.quality_result AS result ON points.checked_at = result.checked_at
WHERE result.file_id IS NULL AND result.dataset = %(dataset)s
ORDER BY result.checked_at ASC, result.result_id ASC;
