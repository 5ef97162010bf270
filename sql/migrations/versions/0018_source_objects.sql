CREATE TABLE ops.source_object (
    source text NOT NULL,
    bucket text NOT NULL,
    object_key text NOT NULL,
    etag text NOT NULL,
    size_bytes bigint NOT NULL,
    modified_at timestamptz,
    target_key text NOT NULL,
    version_no integer NOT NULL,
    source_run_id bigint NOT NULL,
    full_run_id text,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    copied_at timestamptz,
    listed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    missing_since timestamptz,
    PRIMARY KEY (source, bucket, object_key),
    CONSTRAINT target_is_of_one_object UNIQUE (target_key),
    CONSTRAINT version_is_counted CHECK (version_no > 0)
);
COMMENT ON TABLE ops.source_object IS
'Which version of each object of a bucket source was copied last: one row per object.';
COMMENT ON COLUMN ops.source_object.source IS 'The name of the definition, sources/<name>.yaml.';
COMMENT ON COLUMN ops.source_object.bucket IS 'The bucket of the source, where the object is.';
COMMENT ON COLUMN ops.source_object.object_key IS 'The key of the object there.';
COMMENT ON COLUMN ops.source_object.etag IS
'The version of the object. A listing that shows another ETag shows a new version, which is copied.';
COMMENT ON COLUMN ops.source_object.modified_at IS
'When that version was written, by the clock of its store. It is not used to choose objects.';
COMMENT ON COLUMN ops.source_object.target_key IS 'The key of the copy in incoming/ of the landing bucket.';
COMMENT ON COLUMN ops.source_object.version_no IS 'The number in that key: how many versions of the object have one.';
COMMENT ON COLUMN ops.source_object.source_run_id IS 'The run of ops.source_run that copied it.';
COMMENT ON COLUMN ops.source_object.full_run_id IS
'The Airflow run with full: true that copied it although it was copied before.';
COMMENT ON COLUMN ops.source_object.begun_at IS 'When the key of the copy was committed, before the copy began.';
COMMENT ON COLUMN ops.source_object.copied_at IS 'When the copy was found to be there. Empty: the copy is unfinished.';
COMMENT ON COLUMN ops.source_object.listed_at IS
'When a listing last showed the object. It is refreshed after 7 days, to save writes.';
COMMENT ON COLUMN ops.source_object.missing_since IS
'The beginning of the first complete listing that did not show the object any more. Only such rows are ever deleted.';
CREATE INDEX unfinished_copies ON ops.source_object (source) WHERE copied_at IS NULL;
CREATE INDEX missing_objects ON ops.source_object (missing_since) WHERE missing_since IS NOT NULL;
GRANT SELECT, INSERT, UPDATE ON ops.source_object TO ingest;
GRANT SELECT ON ops.source_object TO transform, reader;

ALTER TABLE ops.source_run ADD COLUMN records_skipped bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN ops.source_run.records_skipped IS
'Empty objects and folder markers of a bucket, which are not copied.';
COMMENT ON COLUMN ops.source_run.records_read IS 'Records of the answers; of a bucket, new objects.';
COMMENT ON COLUMN ops.source_run.records_written IS
'Records of the delivered file, messages, or copied objects. 0 while it is not known whether the file has arrived.';
COMMENT ON COLUMN ops.source_run.records_failed IS
'Records that could not be taken from an answer, or objects that could not be copied. Rows that the contract refuses '
'later are counted in the ledger.';
COMMENT ON COLUMN ops.source_run.bytes IS 'Bytes of the answers, or of the copied objects.';

-- `ingest` may not delete from the objects. It calls this function, which deletes those that are gone from their bucket
-- for long, a number at a time. A row whose object is still there must stay: without it, the object is copied again.
CREATE FUNCTION ops.purge_source_objects(p_keep interval, p_most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    purged bigint;
BEGIN
    IF p_keep IS NULL OR p_keep < interval '1 minute' THEN
        RAISE EXCEPTION 'not a time to keep objects: %', p_keep;
    END IF;
    DELETE FROM ops.source_object
    WHERE (source, bucket, object_key) IN (
        SELECT source, bucket, object_key FROM ops.source_object
        WHERE missing_since < now() - p_keep
        LIMIT p_most
    );
    GET DIAGNOSTICS purged = ROW_COUNT;
    RETURN purged;
END $$;
GRANT EXECUTE ON FUNCTION ops.purge_source_objects(interval, integer) TO ingest;
