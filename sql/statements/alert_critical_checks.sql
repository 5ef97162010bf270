-- Critical checks of whole tables that failed since a point in time.
SELECT
    dataset,
    dataset || ': ' || expectation || coalesce(' on ' || nullif(column_name, ''), '') AS failed_check
FROM ops.quality_result
WHERE file_id IS NULL AND severity = 'critical' AND NOT success AND checked_at >= %(since)s
ORDER BY dataset, expectation, column_name;
