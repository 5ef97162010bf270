UPDATE ops.file_ingestion_log SET
    status = 'processed', stage = 'load', processed_at = clock_timestamp(), rows_duplicate = %(rows_duplicate)s
WHERE file_id = %(file_id)s AND attempts = %(attempts)s AND status = 'validated';
