CREATE TABLE ops.source_state (
    source text NOT NULL,
    resource text NOT NULL,
    endpoint text NOT NULL,
    newest_at timestamptz,
    request_url text,
    etag text,
    last_record text,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    answer text NOT NULL,
    PRIMARY KEY (source, resource, endpoint)
);
COMMENT ON TABLE ops.source_state IS 'How far each API was read: one row per source, resource and endpoint.';
COMMENT ON COLUMN ops.source_state.newest_at IS 'The newest record whose file lies in incoming/ or has passed it.';
COMMENT ON COLUMN ops.source_state.request_url IS 'The page that the ETag is of; without one, the page to go on at.';
COMMENT ON COLUMN ops.source_state.last_record IS 'The last record read of an unfinished listing.';
COMMENT ON COLUMN ops.source_state.answer IS 'What the last run met: news, no news, or a failure''s reason.';
GRANT SELECT, INSERT, UPDATE ON ops.source_state TO ingest;
GRANT SELECT ON ops.source_state TO transform, reader;

-- The checks of the warehouse run as `transform`, which reads everything, and write down what they see.
GRANT INSERT ON ops.quality_result TO transform;

-- Checks of whole tables, by table and time: what the pages show, and what is old. A file's results have an index.
CREATE INDEX checks_of_table ON ops.quality_result (dataset, checked_at) WHERE file_id IS NULL;

-- `transform` may not delete from the results. It calls this function, which forgets old checks of whole tables, and
-- nothing else: a file's own results stay with the file.
CREATE FUNCTION ops.forget_quality_results(p_keep_days integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    forgotten bigint;
BEGIN
    IF p_keep_days IS NULL OR p_keep_days < 1 THEN
        RAISE EXCEPTION 'not a number of days: %', p_keep_days;
    END IF;
    DELETE FROM ops.quality_result
    WHERE file_id IS NULL AND checked_at < now() - make_interval(days => p_keep_days);
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END $$;
REVOKE ALL ON FUNCTION ops.forget_quality_results(integer) FROM public;
GRANT EXECUTE ON FUNCTION ops.forget_quality_results(integer) TO transform;
