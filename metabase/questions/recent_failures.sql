-- title: Latest failures
-- chart: table
-- columns:
--   claimed_at: {label: When (UTC), format: time}
--   dataset: {label: Dataset}
--   source: {label: File or topic}
--   error_code: {label: Code}
--   error_message: {label: What happened}
-- filters: {start_date: date, end_date: date, dataset: text}
SELECT
    claimed_at AT TIME ZONE 'UTC' AS claimed_at,
    dataset,
    coalesce(object_key, topic) AS source,
    error_code,
    left(error_message, 300) AS error_message
FROM ops.file_ingestion_log
WHERE
    status IN ('validation_failed', 'processing_failed', 'loading_failed')
    AND (file_ingestion_log.claimed_at AT TIME ZONE 'UTC')::date >= %(start_date)s
    AND (file_ingestion_log.claimed_at AT TIME ZONE 'UTC')::date <= %(end_date)s
    AND dataset = %(dataset)s
ORDER BY file_id DESC
LIMIT 20
