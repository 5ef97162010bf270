-- Files that an earlier run began and did not finish, because its worker died or gave up: they become this run's.
-- In the order of their entries: an UPDATE returns its rows as they lie in the table.
WITH adopted AS (
    UPDATE ops.file_ingestion_log SET run_id = %(run_id)s
    WHERE
        dataset = %(dataset)s AND bucket = %(bucket)s AND settled_at IS NULL
        AND status IN ('claimed', 'validated', 'processed') AND run_id IS DISTINCT FROM %(run_id)s
    RETURNING file_id, size_bytes, attempts, stage
)

SELECT
    file_id,
    size_bytes,
    attempts,
    stage
FROM adopted
ORDER BY file_id;
