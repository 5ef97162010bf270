-- Note that a file left quarantine. Its entry is reopened when the file is claimed, or a new dataset gets a new entry.
UPDATE ops.file_ingestion_log SET settled_key = NULL
WHERE bucket = %(bucket)s AND settled_key = %(settled_key)s;
