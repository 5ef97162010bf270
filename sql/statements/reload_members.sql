-- Note that members of an archive are to be read again with it: these, or all that are loaded.
UPDATE ops.file_ingestion_log SET reload_requested_at = coalesce(reload_requested_at, clock_timestamp())
WHERE
    parent_file_id = %(file_id)s AND settled_at IS NOT NULL
    AND CASE
        WHEN %(members)s::bigint[] IS NULL THEN status = 'archived'
        ELSE file_id = any(%(members)s::bigint[]) AND status LIKE '%%failed'
    END;
