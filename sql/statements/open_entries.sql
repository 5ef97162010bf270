-- Which of these files are not settled: somebody may be at work on them, or will be.
SELECT file_id FROM ops.file_ingestion_log
WHERE file_id = any(%(file_ids)s::bigint[]) AND settled_at IS NULL;
