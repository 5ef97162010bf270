ALTER TABLE ops.file_ingestion_log ADD COLUMN deletes_ignored bigint;
COMMENT ON COLUMN ops.file_ingestion_log.deletes_ignored IS
'Messages without a value (deletes) of this batch. They change no row, and are not in rows_read.';

-- Issues are known by the API's own number: a repository that is renamed keeps it, and its issues are not there twice.
-- The rows of an old name go, where the same issue is there under the new one.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_constraint
        WHERE conrelid = to_regclass('raw.issues') AND contype = 'p' AND cardinality(conkey) = 2
    ) THEN
        DELETE FROM raw.issues AS older USING raw.issues AS newer
        WHERE older.issue_id = newer.issue_id
            AND (older.fetched_at, older._file_id, older._source_row)
            < (newer.fetched_at, newer._file_id, newer._source_row);
        ALTER TABLE raw.issues DROP CONSTRAINT issues_pkey;
        ALTER TABLE raw.issues ALTER COLUMN repository DROP NOT NULL, ALTER COLUMN number DROP NOT NULL;
        ALTER TABLE raw.issues ADD PRIMARY KEY (issue_id);
    END IF;
END $$;
