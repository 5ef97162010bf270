-- How often workers have begun the batch that starts at this offset and died; how many messages the last try had, and
-- whether that one ended in a death: what was given up has left its reason.
SELECT
    attempts,
    last_offset - first_offset + 1 AS messages,
    error_code IS NULL AS died
FROM ops.file_ingestion_log
WHERE
    topic = %(topic)s AND partition = %(partition)s AND first_offset = %(first_offset)s AND settled_at IS NULL
    AND attempts > 0 AND status IN ('claimed', 'validated', 'processed');
