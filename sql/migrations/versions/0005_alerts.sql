CREATE TABLE ops.alert (
    kind text NOT NULL,
    about text NOT NULL,
    cause text NOT NULL,
    told_until timestamptz NOT NULL,
    told_at timestamptz,
    failed_at timestamptz,
    held_back integer NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, about, cause)
);
COMMENT ON TABLE ops.alert IS 'What people were told of last: one row per cause, and one with an empty cause for all.';
COMMENT ON COLUMN ops.alert.about IS 'A dataset, a topic or a DAG.';
COMMENT ON COLUMN ops.alert.told_until IS 'What came after this is not told of yet.';
COMMENT ON COLUMN ops.alert.failed_at IS 'When a message was given up; empty after one that was sent.';
COMMENT ON COLUMN ops.alert.held_back IS 'How often there was cause for a message since the last one.';
GRANT SELECT, INSERT, UPDATE ON ops.alert TO ingest;
GRANT SELECT ON ops.alert TO transform, reader;

-- What a message about a dataset lists, the newest first.
CREATE INDEX quarantined_of_dataset ON ops.file_ingestion_log (dataset, settled_at)
WHERE status IN ('validation_failed', 'processing_failed', 'loading_failed');
