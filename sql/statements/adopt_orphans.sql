-- Files that an earlier run began and did not finish, because its worker died or gave up: they become this run's.
UPDATE ops.file_ingestion_log SET run_id = %(run_id)s
WHERE
    dataset = %(dataset)s AND bucket = %(bucket)s AND settled_at IS NULL
    AND status IN ('claimed', 'validated', 'processed') AND run_id IS DISTINCT FROM %(run_id)s
RETURNING file_id, size_bytes, attempts, stage;
