-- The members of an archive that are refused and not settled, as file_id and number.
SELECT
    file_id,
    member_number
FROM ops.file_ingestion_log
WHERE parent_file_id = %(file_id)s AND settled_at IS NULL AND status LIKE '%%failed'
ORDER BY member_number;
