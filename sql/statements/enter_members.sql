-- Enter the members of an archive that a worker has begun. Members that are there already keep their outcome, unless it
-- was requested to read them again. One row; none if another worker has begun the archive since.
WITH archive AS (
    UPDATE ops.file_ingestion_log SET
        sha256 = %(sha256)s, format = %(format)s, members_passed_over = %(passed_over)s
    WHERE file_id = %(file_id)s AND attempts = %(attempts)s AND status = 'claimed' AND settled_at IS NULL
    RETURNING *
),

resumed AS (
    UPDATE ops.file_ingestion_log AS entry SET run_id = archive.run_id, dag_id = archive.dag_id
    FROM archive
    WHERE entry.parent_file_id = archive.file_id AND entry.settled_at IS NULL AND entry.run_id <> archive.run_id
),

-- The pattern of the contract may not choose a member any more.
canceled AS (
    UPDATE ops.file_ingestion_log AS entry SET reload_requested_at = NULL
    FROM archive
    WHERE
        entry.parent_file_id = archive.file_id AND entry.settled_at IS NOT NULL
        AND entry.reload_requested_at IS NOT NULL AND NOT entry.member_number = any(%(numbers)s::integer[])
),

-- A refused member counts as written now, as a refused file does that is moved back to incoming/.
reopened AS (
    UPDATE ops.file_ingestion_log AS entry SET
        status = 'claimed', stage = 'claim', attempts = 0, error_code = NULL, error_message = NULL,
        rows_read = NULL, rows_inserted = NULL, rows_updated = NULL, rows_unchanged = NULL, rows_duplicate = NULL,
        rows_rejected = NULL, rejects_by_code = NULL, settled_key = NULL, rows_replayed = 0,
        reloads = entry.reloads + (entry.status = 'archived')::integer, reload_requested_at = NULL,
        rows_deleted = NULL, deletes = NULL, deletes_skipped = NULL,
        modified_at = CASE
            WHEN entry.status = 'archived' OR entry.reloads > 0 THEN entry.modified_at
            ELSE clock_timestamp()
        END,
        claimed_at = clock_timestamp(), validated_at = NULL, processed_at = NULL, loaded_at = NULL, settled_at = NULL,
        resend_no = 0,
        contract_version = archive.contract_version, dag_id = archive.dag_id, run_id = archive.run_id
    FROM archive
    WHERE
        entry.parent_file_id = archive.file_id AND entry.settled_at IS NOT NULL
        AND entry.reload_requested_at IS NOT NULL AND entry.member_number = any(%(numbers)s::integer[])
),

entered AS (
    INSERT INTO ops.file_ingestion_log (
        dataset, bucket, object_key, etag, size_bytes, modified_at, first_modified_at, contract_version, dag_id, run_id,
        parent_file_id, member_number
    )
    SELECT
        archive.dataset,
        archive.bucket,
        archive.object_key || '#' || found.path AS object_key,
        archive.file_id || '#' || found.number AS etag,
        found.size_bytes,
        archive.modified_at,
        archive.first_modified_at,
        archive.contract_version,
        archive.dag_id,
        archive.run_id,
        archive.file_id,
        found.number
    FROM archive
    CROSS JOIN
        unnest(%(numbers)s::integer[], %(paths)s::text[], %(sizes)s::bigint[]) AS found (number, path, size_bytes)
    ON CONFLICT (parent_file_id, member_number) WHERE parent_file_id IS NOT NULL DO NOTHING
)

SELECT file_id FROM archive;
