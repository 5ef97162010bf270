-- Number of files of a dataset that were quarantined since a point in time, by reason code.
SELECT
    error_code,
    count(*) AS files,
    max(settled_at) AS newest
FROM ops.file_ingestion_log
WHERE
    dataset = %(dataset)s AND bucket = %(bucket)s AND settled_at > %(since)s AND settled_key IS NOT NULL
    AND status IN ('validation_failed', 'processing_failed', 'loading_failed')
GROUP BY error_code
ORDER BY files DESC, error_code ASC;
