-- The file that brought the same content, if it was loaded. With `allow_resend` only if no other content of the
-- dataset was loaded after it, which is a member of it if it is an archive, and not of a file that is loaded again on
-- request.
SELECT file_id FROM ops.file_ingestion_log AS entry
WHERE
    dataset = %(dataset)s AND sha256 = %(sha256)s AND status IN ('loaded', 'archived') AND file_id <> %(file_id)s
    AND (
        NOT %(allow_resend)s
        OR (
            EXISTS (
                SELECT FROM ops.dataset_lock AS held
                INNER JOIN ops.file_ingestion_log AS newest ON held.last_file_id = newest.file_id
                WHERE
                    held.dataset = entry.dataset
                    AND (newest.sha256 = entry.sha256 OR newest.parent_file_id = entry.file_id)  -- noqa: RF02
            )
            AND NOT EXISTS (
                SELECT FROM ops.file_ingestion_log AS own
                WHERE own.file_id = %(file_id)s AND own.reloads > 0  -- noqa: RF02
            )
        )
    )
ORDER BY resend_no DESC
LIMIT 1;
