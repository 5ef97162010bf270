-- The unsettled ones of these files: a worker processes them now or later.
SELECT file_id FROM ops.file_ingestion_log
WHERE file_id = any(%(file_ids)s::bigint[]) AND settled_at IS NULL;
