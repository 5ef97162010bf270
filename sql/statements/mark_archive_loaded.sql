-- Note that each member of an archive has its outcome. The archive itself has no rows: its members count them.
UPDATE ops.file_ingestion_log AS archive SET
    status = 'loaded', stage = 'settle', rows_read = 0, rows_inserted = 0, rows_updated = 0, rows_unchanged = 0,
    rows_duplicate = 0, rows_rejected = 0, rows_deleted = 0, rejects_by_code = '{}', error_code = NULL,
    error_message = NULL, validated_at = clock_timestamp(), processed_at = clock_timestamp(),
    loaded_at = clock_timestamp(), resend_no = %(resend_no)s
WHERE
    archive.file_id = %(file_id)s AND archive.attempts = %(attempts)s AND archive.status = 'claimed'
    AND NOT EXISTS (
        SELECT FROM ops.file_ingestion_log AS member
        WHERE
            member.parent_file_id = archive.file_id AND member.settled_at IS NULL
            AND member.status IN ('claimed', 'validated', 'processed')
    );
