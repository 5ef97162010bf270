-- The file left quarantine; its entry is reopened when the file is claimed, or a new dataset's takes its place.
UPDATE ops.file_ingestion_log SET settled_key = NULL
WHERE bucket = %(bucket)s AND settled_key = %(settled_key)s;
