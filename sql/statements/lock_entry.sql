-- Wait for the worker that enters the members of an archive: the next statement sees these.
SELECT file_id FROM ops.file_ingestion_log
WHERE file_id = %(file_id)s
FOR UPDATE;
