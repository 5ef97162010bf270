-- The results of a table at its last checks, and at the last check of each day (UTC) before the oldest of these. All
-- rows are read from the index on dataset and time, so the cost does not grow with the number of stored results.
SELECT
    checked_at,
    expectation,
    column_name,
    severity,
    success,
    observed
FROM ops.quality_result
WHERE
    file_id IS NULL
    AND dataset = %(dataset)s
    AND checked_at = any(
        %(recent)s::timestamptz[] || array(
            SELECT last_of_day.checked_at
            FROM generate_series(0, %(days)s) AS days (back)
            CROSS JOIN
                LATERAL (
                    SELECT earlier.checked_at
                    FROM ops.quality_result AS earlier
                    WHERE
                        earlier.file_id IS NULL
                        AND earlier.dataset = %(dataset)s
                        AND earlier.checked_at >= %(midnight)s::timestamptz - make_interval(hours => 24 * days.back)
                        AND earlier.checked_at < least(
                            %(midnight)s::timestamptz - make_interval(hours => 24 * (days.back - 1)),
                            %(oldest)s::timestamptz
                        )
                    ORDER BY earlier.checked_at DESC
                    LIMIT 1
                ) AS last_of_day
        )
    )
ORDER BY checked_at ASC, result_id ASC;
