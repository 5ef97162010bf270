ALTER TABLE ops.file_ingestion_log
ADD COLUMN rows_deleted bigint,
ADD COLUMN deletes text CONSTRAINT deletes_are_known CHECK (deletes IN ('hard', 'soft')),
ADD COLUMN deletes_skipped bigint,
ADD COLUMN first_modified_at timestamptz;
COMMENT ON COLUMN ops.file_ingestion_log.rows_deleted IS
'Rows of the table that this file or batch deleted, or marked in _deleted_at. They are not in rows_read.';
COMMENT ON COLUMN ops.file_ingestion_log.deletes IS
'How its rows were deleted: hard (removed from the table) or soft (marked). Null where it deletes nothing.';
COMMENT ON COLUMN ops.file_ingestion_log.deletes_skipped IS
'Rows that a snapshot lacks and that stay, because the key of a refused row could not be read.';
COMMENT ON COLUMN ops.file_ingestion_log.first_modified_at IS
'When the object was first written. Reprocessing copies it: modified_at is the time of the copy then.';

-- The pipeline's role may delete no rows in raw. It calls this function for a dataset whose contract says
-- `deletes: hard`: from then on it may delete from that table.
CREATE FUNCTION ops.allow_deletes(p_dataset text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_dataset !~ '^[a-z][a-z0-9_]{0,49}$' THEN
        RAISE EXCEPTION 'not a dataset name: %', p_dataset;
    END IF;
    EXECUTE format('GRANT DELETE ON raw.%I TO ingest', p_dataset);
END $$;
GRANT EXECUTE ON FUNCTION ops.allow_deletes(text) TO ingest;
