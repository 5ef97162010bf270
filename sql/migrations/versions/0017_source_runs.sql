CREATE TABLE ops.source_position (
    source text NOT NULL,
    element text NOT NULL,
    version bigint NOT NULL DEFAULT 0,
    watermark text,
    address text,
    etag text,
    next_page text,
    not_before timestamptz,
    pending_key text,
    pending_since timestamptz,
    pending_results jsonb NOT NULL DEFAULT '[]',
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (source, element),
    CONSTRAINT pending_key_is_of_one_element UNIQUE (pending_key),
    CONSTRAINT pending_results_have_a_key CHECK (pending_key IS NOT NULL OR pending_results = '[]')
);
COMMENT ON TABLE ops.source_position IS
'How far each element of a source was read (a request with values of forEach, a table, a prefix): one row per element.';
COMMENT ON COLUMN ops.source_position.source IS 'The name of the definition, sources/<name>.yaml.';
COMMENT ON COLUMN ops.source_position.element IS 'The name of the element, the same in every run.';
COMMENT ON COLUMN ops.source_position.version IS
'Grows with each beginning and each commit of a run. A run that meets another version than its own changes nothing.';
COMMENT ON COLUMN ops.source_position.watermark IS
'The newest value of the cursor that was delivered, as the source wrote it.';
COMMENT ON COLUMN ops.source_position.address IS 'Path and query of the first page of the last listing.';
COMMENT ON COLUMN ops.source_position.etag IS 'The ETag of that page, for a conditional request.';
COMMENT ON COLUMN ops.source_position.next_page IS
'Where an unfinished listing continues. Empty if it was read to its end.';
COMMENT ON COLUMN ops.source_position.not_before IS
'The source asks for no request before this time (X-Poll-Interval).';
COMMENT ON COLUMN ops.source_position.pending_key IS
'The object key of the delivery under way: chosen before the first request, empty after the commit.';
COMMENT ON COLUMN ops.source_position.pending_since IS 'When that key was chosen.';
COMMENT ON COLUMN ops.source_position.pending_results IS
'What each attempt under that key read: position, figures, size and SHA-256 of its file. Written before the file is.';
COMMENT ON COLUMN ops.source_position.changed_at IS 'When the position was last committed.';
GRANT SELECT, INSERT, UPDATE ON ops.source_position TO ingest;
GRANT SELECT ON ops.source_position TO transform, reader;

CREATE TABLE ops.source_run (
    source_run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    element text NOT NULL,
    dag_id text,
    run_id text,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    status text NOT NULL DEFAULT 'running',
    records_read bigint NOT NULL DEFAULT 0,
    records_written bigint NOT NULL DEFAULT 0,
    records_failed bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    requests bigint NOT NULL DEFAULT 0,
    retries bigint NOT NULL DEFAULT 0,
    waited_seconds double precision NOT NULL DEFAULT 0,
    rate_limit_remaining bigint,
    rate_limit_reset_at timestamptz,
    error_code text,
    error_message text,
    watermark text,
    object_key text,
    stand_in boolean NOT NULL DEFAULT FALSE,
    CONSTRAINT run_status_is_known CHECK (status IN ('running', 'success', 'failed')),
    CONSTRAINT ended_run_has_a_time CHECK ((status = 'running') = (ended_at IS NULL)),
    CONSTRAINT failed_run_has_a_reason CHECK (status <> 'failed' OR error_code IS NOT NULL)
);
COMMENT ON TABLE ops.source_run IS 'What each run of each element of a source read and wrote: one row per attempt.';
COMMENT ON COLUMN ops.source_run.status IS
'running, success or failed. A failed run may have delivered records: those that came before the error.';
COMMENT ON COLUMN ops.source_run.records_read IS 'Records of the answers.';
COMMENT ON COLUMN ops.source_run.records_written IS
'Records of the delivered file, or messages. 0 while it is not known whether the file has arrived.';
COMMENT ON COLUMN ops.source_run.records_failed IS
'Records that could not be taken from an answer. Rows that the contract refuses later are counted in the ledger.';
COMMENT ON COLUMN ops.source_run.bytes IS 'Bytes of the answers.';
COMMENT ON COLUMN ops.source_run.waited_seconds IS 'Pauses for the rate limit and before retries.';
COMMENT ON COLUMN ops.source_run.rate_limit_remaining IS 'Requests left in the limit, as the source counts them.';
COMMENT ON COLUMN ops.source_run.rate_limit_reset_at IS 'When the source sets that count back.';
COMMENT ON COLUMN ops.source_run.watermark IS 'The watermark after the run.';
COMMENT ON COLUMN ops.source_run.object_key IS 'The key of the delivered file in incoming/.';
COMMENT ON COLUMN ops.source_run.stand_in IS 'Whether a stand-in of the platform answered, and not the real source.';
CREATE INDEX newest_runs_of_source ON ops.source_run (source, started_at DESC);
CREATE INDEX runs_of_all_sources ON ops.source_run (started_at);
CREATE INDEX running_runs_of_element ON ops.source_run (source, element) WHERE status = 'running';
GRANT SELECT, INSERT, UPDATE ON ops.source_run TO ingest;
GRANT SELECT ON ops.source_run TO transform, reader;

-- `ingest` may not delete from the runs. It calls this function, which deletes old ones, a number at a time.
CREATE FUNCTION ops.purge_source_runs(p_keep interval, p_most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    purged bigint;
BEGIN
    IF p_keep IS NULL OR p_keep < interval '1 minute' THEN
        RAISE EXCEPTION 'not a time to keep runs: %', p_keep;
    END IF;
    DELETE FROM ops.source_run
    WHERE source_run_id IN (
        SELECT source_run_id FROM ops.source_run
        WHERE started_at < now() - p_keep AND status <> 'running'
        LIMIT p_most
    );
    GET DIAGNOSTICS purged = ROW_COUNT;
    RETURN purged;
END $$;
GRANT EXECUTE ON FUNCTION ops.purge_source_runs(interval, integer) TO ingest;
