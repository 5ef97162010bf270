-- Note that members of an archive are to be read again with it: these, or all that are loaded, or the last one
-- of these: of snapshots, only that one is true.
UPDATE ops.file_ingestion_log SET reload_requested_at = coalesce(reload_requested_at, clock_timestamp())
WHERE
    parent_file_id = %(file_id)s AND settled_at IS NOT NULL
    AND CASE
        WHEN %(members)s::bigint[] IS NULL
            THEN
                status = 'archived'
                AND (
                    NOT %(only_last)s
                    OR file_id = (
                        SELECT latest.file_id FROM ops.file_ingestion_log AS latest
                        WHERE latest.parent_file_id = %(file_id)s AND latest.status = 'archived'
                        ORDER BY latest.loaded_at DESC, latest.file_id DESC
                        LIMIT 1
                    )
                )
        ELSE file_id = any(%(members)s::bigint[]) AND status LIKE '%%failed'
    END;
