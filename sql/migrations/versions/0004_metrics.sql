-- What lies in incoming/ is in no table until it is claimed. The sweeper, which lists it all anyway, notes it here.
CREATE TABLE ops.incoming_files (
    bucket text NOT NULL,
    dataset text NOT NULL,
    files bigint NOT NULL,
    size_bytes bigint NOT NULL,
    oldest_at timestamptz,
    looked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (bucket, dataset)
);
COMMENT ON TABLE ops.incoming_files IS 'What lay in incoming/ when the sweeper looked last: one row per dataset.';
COMMENT ON COLUMN ops.incoming_files.oldest_at IS 'When the oldest object was written, by the bucket''s clock.';
COMMENT ON COLUMN ops.incoming_files.looked_at IS 'Long ago: nobody looks any more.';
GRANT SELECT, INSERT, UPDATE, DELETE ON ops.incoming_files TO ingest;
GRANT SELECT ON ops.incoming_files TO transform, reader;

-- What the monitoring asks every few seconds: the entries of the last hour, each dataset's last load, the checks of the
-- last hour.
CREATE INDEX recently_settled ON ops.file_ingestion_log (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX loaded_of_dataset ON ops.file_ingestion_log (dataset, loaded_at) WHERE loaded_at IS NOT NULL;
CREATE INDEX recent_results ON ops.quality_result (checked_at);

-- Tables of datasets come and go, so the query that counts them all cannot name them. STABLE: it sees what the query
-- around it sees. It counts as whoever asks, and only what they may read.
CREATE FUNCTION ops.count_rows(p_dataset text) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    counted bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM raw.%I', p_dataset) INTO counted;
    RETURN counted;
END $$;
REVOKE ALL ON FUNCTION ops.count_rows(text) FROM public;
GRANT EXECUTE ON FUNCTION ops.count_rows(text) TO reader;
