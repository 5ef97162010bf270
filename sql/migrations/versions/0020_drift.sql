CREATE TABLE ops.drift_result (
    result_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    checked_at timestamptz NOT NULL,
    dataset text NOT NULL,
    column_name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('number', 'category')),
    window_end timestamptz NOT NULL,
    reference_rows bigint NOT NULL,
    current_rows bigint NOT NULL,
    psi double precision,
    status text NOT NULL CHECK (status IN ('ok', 'warning', 'error', 'skipped')),
    CONSTRAINT skipped_has_no_index CHECK ((psi IS NULL) = (status = 'skipped'))
);
COMMENT ON TABLE ops.drift_result IS
'How much the distribution of a column has changed: one row per column that a contract names and check.';
COMMENT ON COLUMN ops.drift_result.kind IS 'Bins of a number are the deciles of the reference; each category is a bin.';
COMMENT ON COLUMN ops.drift_result.window_end IS
'00:00 UTC of the day of the check, E. The current rows are those of [E - 7 d, E), the reference [E - 35 d, E - 7 d).';
COMMENT ON COLUMN ops.drift_result.psi IS
'The population stability index. Empty if one of the two windows has fewer than 100 rows.';
COMMENT ON COLUMN ops.drift_result.status IS 'warning from an index of 0.1 on, error from 0.25 on.';
CREATE INDEX drift_of_table ON ops.drift_result (dataset, checked_at);
CREATE INDEX old_drift ON ops.drift_result (checked_at);
GRANT SELECT, INSERT ON ops.drift_result TO transform;
GRANT SELECT ON ops.drift_result TO reader;

-- `transform` may not delete from the results. It calls this function, which deletes old ones.
CREATE FUNCTION ops.purge_drift_results(p_keep_days integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    purged bigint;
BEGIN
    IF p_keep_days IS NULL OR p_keep_days < 1 THEN
        RAISE EXCEPTION 'not a number of days: %', p_keep_days;
    END IF;
    DELETE FROM ops.drift_result WHERE checked_at < now() - make_interval(days => p_keep_days);
    GET DIAGNOSTICS purged = ROW_COUNT;
    RETURN purged;
END $$;
GRANT EXECUTE ON FUNCTION ops.purge_drift_results(integer) TO transform;
