-- How many attempts of an archive ended in one of its members, at most: those that did not end with its outcome.
SELECT
    coalesce(
        sum(
            CASE
                WHEN status IN ('claimed', 'validated', 'processed') OR error_code = 'worker-died' THEN attempts
                ELSE greatest(attempts - 1, 0)
            END
        ), 0
    )::integer AS attempts
FROM ops.file_ingestion_log
WHERE parent_file_id = %(file_id)s;
