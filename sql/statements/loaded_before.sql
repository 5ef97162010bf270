-- The file that brought the same content, if it was loaded.
SELECT file_id FROM ops.file_ingestion_log
WHERE dataset = %(dataset)s AND sha256 = %(sha256)s AND status IN ('loaded', 'archived') AND file_id <> %(file_id)s;
