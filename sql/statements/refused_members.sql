-- The members of an archive that are refused and not settled, as file_id and number. Not those that workers died at:
-- the next worker could die there again.
SELECT
    file_id,
    member_number
FROM ops.file_ingestion_log
WHERE
    parent_file_id = %(file_id)s AND settled_at IS NULL AND status LIKE '%%failed' AND error_code <> 'worker-died'
ORDER BY member_number;
