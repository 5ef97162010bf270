-- Insert new objects into the ledger. Reopen settled failures that were requeued, and archived files that are reloaded:
-- these keep the time at which they were written, and so do replays. Objects in flight are not changed.
WITH found AS (
    SELECT * FROM unnest(
        %(keys)s::text[], %(etags)s::text[], %(sizes)s::bigint[], %(modified)s::timestamptz[]
    ) WITH ORDINALITY AS f (object_key, etag, size_bytes, modified_at, turn)
),

reopened AS (
    UPDATE ops.file_ingestion_log AS entry SET
        status = 'claimed', stage = 'claim', attempts = 0, error_code = NULL, error_message = NULL,
        rows_read = NULL, rows_inserted = NULL, rows_updated = NULL, rows_unchanged = NULL, rows_duplicate = NULL,
        rows_rejected = NULL, rejects_by_code = NULL, settled_key = NULL, rows_replayed = 0,
        reloads = entry.reloads + (entry.reload_requested_at IS NOT NULL)::integer, reload_requested_at = NULL,
        rows_deleted = NULL, deletes = NULL, deletes_skipped = NULL,
        -- A requeued file has no settled_key. With one, the same content was uploaded again.
        first_modified_at = CASE
            WHEN entry.settled_key IS NULL OR entry.reload_requested_at IS NOT NULL
                THEN coalesce(entry.first_modified_at, entry.modified_at)
            ELSE found.modified_at
        END,
        claimed_at = clock_timestamp(), validated_at = NULL,
        processed_at = NULL, loaded_at = NULL, settled_at = NULL, size_bytes = found.size_bytes,
        modified_at = CASE
            WHEN entry.status = 'archived' OR entry.reloads > 0 OR entry.replay_of IS NOT NULL THEN entry.modified_at
            ELSE found.modified_at
        END,
        resend_no = 0,
        contract_version = %(contract_version)s, dag_id = %(dag_id)s, run_id = %(run_id)s
    FROM found
    WHERE
        entry.file_id = (
            SELECT latest.file_id FROM ops.file_ingestion_log AS latest
            WHERE
                latest.dataset = %(dataset)s AND latest.bucket = %(bucket)s
                AND latest.object_key = found.object_key AND latest.etag = found.etag
            ORDER BY latest.reload_requested_at IS NOT NULL DESC, latest.file_id DESC
            LIMIT 1
        )
        AND entry.settled_at IS NOT NULL
        AND (
            entry.status LIKE '%%failed'
            OR (entry.status = 'archived' AND entry.reload_requested_at IS NOT NULL)
        )
    RETURNING entry.file_id, entry.object_key, entry.etag, entry.size_bytes
),

entered AS (
    INSERT INTO ops.file_ingestion_log
    (
        dataset, bucket, object_key, etag, size_bytes, modified_at, first_modified_at, contract_version, dag_id,
        run_id
    )
    SELECT
        %(dataset)s,
        %(bucket)s,
        object_key,
        etag,
        size_bytes,
        modified_at,
        modified_at AS first_modified_at,
        %(contract_version)s,
        %(dag_id)s,
        %(run_id)s
    FROM found
    WHERE
        NOT EXISTS (
            SELECT FROM reopened
            WHERE reopened.object_key = found.object_key AND reopened.etag = found.etag
        )
    ORDER BY turn
    ON CONFLICT (bucket, object_key, etag) WHERE settled_at IS NULL DO NOTHING
    RETURNING file_id, size_bytes
)

SELECT
    file_id,
    size_bytes
FROM entered
UNION ALL
SELECT
    file_id,
    size_bytes
FROM reopened
ORDER BY file_id;
