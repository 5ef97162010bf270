-- Insert a batch of messages. A batch that was not finished, or was refused, reuses its entry: the ledger does not grow
-- while the consumer's position does not change.
WITH refused AS (
    UPDATE ops.file_ingestion_log AS entry SET
        status = 'claimed', stage = 'claim', attempts = 0, error_code = NULL, error_message = NULL,
        rows_read = NULL, rows_inserted = NULL, rows_updated = NULL, rows_unchanged = NULL, rows_duplicate = NULL,
        rows_rejected = NULL, rejects_by_code = NULL, claimed_at = clock_timestamp(), validated_at = NULL,
        processed_at = NULL, loaded_at = NULL, settled_at = NULL, sha256 = NULL,
        last_offset = %(last_offset)s, size_bytes = %(size_bytes)s, contract_version = %(contract_version)s,
        deletes_ignored = %(deletes_ignored)s, rows_deleted = NULL, deletes = NULL, deletes_skipped = NULL,
        dag_id = %(dag_id)s, run_id = %(run_id)s
    WHERE
        entry.file_id = (
            SELECT max(latest.file_id) FROM ops.file_ingestion_log AS latest
            WHERE
                latest.dataset = %(dataset)s AND latest.topic = %(topic)s AND latest.partition = %(partition)s
                AND latest.first_offset = %(first_offset)s
        )
        AND entry.settled_at IS NOT NULL AND entry.status LIKE '%%failed'
        AND entry.error_code <> 'messages-removed'
    RETURNING entry.file_id
),

entered AS (
    INSERT INTO ops.file_ingestion_log AS entry
    (
        dataset, topic, partition, first_offset, last_offset, size_bytes, deletes_ignored, contract_version, dag_id,
        run_id
    )
    SELECT
        %(dataset)s,
        %(topic)s,
        %(partition)s,
        %(first_offset)s,
        %(last_offset)s,
        %(size_bytes)s,
        %(deletes_ignored)s,
        %(contract_version)s,
        %(dag_id)s,
        %(run_id)s
    WHERE NOT EXISTS (SELECT FROM refused)
    ON CONFLICT (topic, partition, first_offset) WHERE settled_at IS NULL AND topic IS NOT NULL
    DO UPDATE
        SET
            last_offset = excluded.last_offset, size_bytes = excluded.size_bytes,
            deletes_ignored = excluded.deletes_ignored, dag_id = excluded.dag_id, run_id = excluded.run_id,
            contract_version = excluded.contract_version
    RETURNING entry.file_id
)

SELECT file_id FROM refused
UNION ALL
SELECT file_id FROM entered;
