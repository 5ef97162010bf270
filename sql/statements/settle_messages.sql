-- Settle the batches of a partition that have their outcome: unlike files, they are not moved.
UPDATE ops.file_ingestion_log SET
    settled_at = clock_timestamp(), status = CASE status WHEN 'loaded' THEN 'archived' ELSE status END
WHERE
    topic = %(topic)s AND partition = %(partition)s AND settled_at IS NULL
    AND status IN ('loaded', 'validation_failed', 'processing_failed', 'loading_failed', 'duplicate')
RETURNING
    file_id, dataset, size_bytes, status, stage, attempts, run_id, '' AS bucket,
    format('%%s[%%s] %%s-%%s', topic, partition, first_offset, last_offset) AS object_key, '' AS etag;
