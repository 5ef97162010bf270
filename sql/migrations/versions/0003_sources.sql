CREATE TABLE ops.source_state (
    source text NOT NULL,
    resource text NOT NULL,
    endpoint text NOT NULL,
    newest_at timestamptz,
    request_url text,
    etag text,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    answer text NOT NULL,
    PRIMARY KEY (source, resource, endpoint)
);
COMMENT ON TABLE ops.source_state IS 'How far each API was read: one row per source, resource and endpoint.';
COMMENT ON COLUMN ops.source_state.newest_at IS 'The newest record whose file lies in incoming/ or has passed it.';
COMMENT ON COLUMN ops.source_state.request_url IS 'The page that the ETag is of; without one, the page to go on at.';
COMMENT ON COLUMN ops.source_state.answer IS 'What the last run met: news, no news, or a failure''s reason.';
GRANT SELECT, INSERT, UPDATE ON ops.source_state TO ingest;
GRANT SELECT ON ops.source_state TO transform, reader;

-- The checks of the warehouse run as `transform`, which reads everything, and write down what they see.
GRANT INSERT ON ops.quality_result TO transform;
