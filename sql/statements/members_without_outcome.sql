-- The members of an archive without an outcome, as file_id and number, in the order of their paths.
SELECT
    file_id,
    member_number
FROM ops.file_ingestion_log
WHERE parent_file_id = %(file_id)s AND settled_at IS NULL AND status IN ('claimed', 'validated', 'processed')
ORDER BY object_key COLLATE "C", member_number;
