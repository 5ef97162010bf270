-- Note a failure. Known values stay; they are changed only where new ones are given. The members of an archive
-- without an outcome fail with it, and are read again with it. A duplicate is never read again, and nor are its
-- members. The caller has locked the entry in an earlier statement.
WITH noted AS (
    UPDATE ops.file_ingestion_log SET
        status = %(status)s, stage = 'settle', error_code = %(code)s, error_message = %(message)s,
        sha256 = coalesce(%(sha256)s, sha256), format = coalesce(%(format)s, format),
        rows_read = coalesce(%(rows_read)s, rows_read), rows_rejected = coalesce(%(rows_rejected)s, rows_rejected),
        rejects_by_code = coalesce(%(rejects_by_code)s::jsonb, rejects_by_code)
    WHERE
        file_id = %(file_id)s AND attempts = %(attempts)s AND settled_at IS NULL
        AND status IN ('claimed', 'validated', 'processed')
    RETURNING file_id
),

members AS (
    UPDATE ops.file_ingestion_log AS member SET
        status = %(status)s, stage = 'settle', error_code = %(code)s, error_message = %(message)s,
        reload_requested_at = CASE WHEN %(status)s <> 'duplicate' THEN clock_timestamp() END
    FROM noted
    WHERE
        member.parent_file_id = noted.file_id AND member.settled_at IS NULL
        AND member.status IN ('claimed', 'validated', 'processed')
),

canceled AS (
    UPDATE ops.file_ingestion_log AS member SET reload_requested_at = NULL
    FROM noted
    WHERE
        member.parent_file_id = noted.file_id AND member.settled_at IS NOT NULL
        AND member.reload_requested_at IS NOT NULL AND %(status)s = 'duplicate'
)

SELECT file_id FROM noted;
