-- Rights, owner and search_path stay with a renamed function.
ALTER FUNCTION ops.forget_file_events(interval, integer) RENAME TO purge_file_events;
ALTER FUNCTION ops.forget_quality_results(integer) RENAME TO purge_quality_results;
ALTER FUNCTION ops.note_lock_wait(bigint, text) RENAME TO record_lock_wait;
ALTER FUNCTION ops.note_replaced_versions(bigint, text[]) RENAME TO record_replaced_versions;

ALTER TABLE ops.incoming_files RENAME COLUMN looked_at TO listed_at;
COMMENT ON TABLE ops.incoming_files IS 'The files in incoming/ at the last sweep: one row per dataset.';
COMMENT ON COLUMN ops.incoming_files.listed_at IS 'The time of the last sweep.';

ALTER TABLE ops.alert RENAME COLUMN told_until TO covered_until;
ALTER TABLE ops.alert RENAME COLUMN told_at TO sent_at;
COMMENT ON TABLE ops.alert IS 'The last alert of each cause, and of each subject in a row with an empty cause.';
COMMENT ON COLUMN ops.alert.covered_until IS 'No alert lists what came after this yet.';
COMMENT ON COLUMN ops.alert.held_back IS 'How often an alert was due since the last one that was sent.';
ALTER FUNCTION ops.forget_alerts(interval) RENAME TO purge_alerts;
-- The body names the columns. The row of a whole subject stays: it says what no alert lists yet.
CREATE OR REPLACE FUNCTION ops.purge_alerts(p_keep interval) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    purged bigint;
BEGIN
    IF p_keep IS NULL OR p_keep < interval '1 minute' THEN
        RAISE EXCEPTION 'not a time to keep alerts: %', p_keep;
    END IF;
    DELETE FROM ops.alert
    WHERE cause <> '' AND greatest(covered_until, sent_at, failed_at) < now() - p_keep;
    GET DIAGNOSTICS purged = ROW_COUNT;
    RETURN purged;
END $$;
