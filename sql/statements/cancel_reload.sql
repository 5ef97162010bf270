-- The object could not be moved: the file stays archived.
UPDATE ops.file_ingestion_log SET reload_requested_at = NULL
WHERE
    (file_id = %(file_id)s OR parent_file_id = %(file_id)s) AND settled_key IS NOT NULL
    AND reload_requested_at IS NOT NULL;
