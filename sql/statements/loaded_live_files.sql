-- As loaded_files.sql, of the datasets from which the live marts are built.
SELECT
    count(*) AS loads,
    max(loaded_at) AS newest
FROM ops.file_ingestion_log
WHERE loaded_at IS NOT NULL AND dataset = any(%(datasets)s);
