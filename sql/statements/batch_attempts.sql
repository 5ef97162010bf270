-- How often a worker has begun the batch that starts at this offset, and not finished it.
SELECT attempts FROM ops.file_ingestion_log
WHERE
    topic = %(topic)s AND partition = %(partition)s AND first_offset = %(first_offset)s AND settled_at IS NULL
    AND status IN ('claimed', 'validated', 'processed');
