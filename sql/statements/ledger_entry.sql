-- A ledger entry as one JSON document.
SELECT to_jsonb(log) AS entry
FROM ops.file_ingestion_log AS log
WHERE log.file_id = %(file_id)s;
