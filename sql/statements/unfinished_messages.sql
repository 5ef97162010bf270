-- The attempts of the batch that starts at this offset, the number of messages of the last attempt, and whether its
-- worker died: an attempt that stopped otherwise has an error code.
SELECT
    attempts,
    last_offset - first_offset + 1 AS messages,
    error_code IS NULL AS died
FROM ops.file_ingestion_log
WHERE
    topic = %(topic)s AND partition = %(partition)s AND first_offset = %(first_offset)s AND settled_at IS NULL
    AND attempts > 0 AND status IN ('claimed', 'validated', 'processed');
