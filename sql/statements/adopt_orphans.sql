-- Assign files to this run that an earlier run did not finish, because its worker died or stopped. Members of an
-- archive are ingested with it.
-- Sorted by entry: an UPDATE returns rows in their physical order.
WITH adopted AS (
    UPDATE ops.file_ingestion_log SET run_id = %(run_id)s
    WHERE
        dataset = %(dataset)s AND bucket = %(bucket)s AND settled_at IS NULL
        AND status IN ('claimed', 'validated', 'processed') AND run_id IS DISTINCT FROM %(run_id)s
        AND parent_file_id IS NULL
    RETURNING file_id, size_bytes, attempts, stage
)

SELECT
    file_id,
    size_bytes,
    attempts,
    stage
FROM adopted
ORDER BY file_id;
