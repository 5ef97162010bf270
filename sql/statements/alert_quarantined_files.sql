-- The newest files of a dataset that were quarantined between two points in time.
SELECT
    object_key,
    error_code,
    settled_key,
    dag_id,
    run_id
FROM ops.file_ingestion_log
WHERE
    dataset = %(dataset)s AND bucket = %(bucket)s AND settled_at > %(since)s AND settled_at <= %(until)s
    AND settled_key IS NOT NULL
    AND status IN ('validation_failed', 'processing_failed', 'loading_failed')
ORDER BY settled_at DESC, file_id DESC
LIMIT %(most)s;
