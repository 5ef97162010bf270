-- The ledger itself is never deleted from: it is the memory of contents by which nothing is loaded twice. What is told
-- beside it may be forgotten. `ingest` has no right to delete history or the memory of alerts; it calls these
-- functions, which delete what is old, a batch at a time, and nothing else.
CREATE FUNCTION ops.forget_file_events(p_keep interval, p_most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    forgotten bigint;
BEGIN
    IF p_keep IS NULL OR p_keep < interval '1 minute' THEN
        RAISE EXCEPTION 'not a time to keep events: %', p_keep;
    END IF;
    DELETE FROM ops.file_event
    WHERE event_id IN (
        SELECT event.event_id FROM ops.file_event AS event
        INNER JOIN ops.file_ingestion_log AS entry ON event.file_id = entry.file_id
        WHERE event.happened_at < now() - p_keep AND entry.settled_at < now() - p_keep
        LIMIT p_most
    );
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END $$;
REVOKE ALL ON FUNCTION ops.forget_file_events(interval, integer) FROM public;
GRANT EXECUTE ON FUNCTION ops.forget_file_events(interval, integer) TO ingest;

-- A cause that was told of long ago. The row of a whole subject stays: it says what is not told of yet.
CREATE FUNCTION ops.forget_alerts(p_keep interval) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    forgotten bigint;
BEGIN
    IF p_keep IS NULL OR p_keep < interval '1 minute' THEN
        RAISE EXCEPTION 'not a time to keep alerts: %', p_keep;
    END IF;
    DELETE FROM ops.alert
    WHERE cause <> '' AND greatest(told_until, told_at, failed_at) < now() - p_keep;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END $$;
REVOKE ALL ON FUNCTION ops.forget_alerts(interval) FROM public;
GRANT EXECUTE ON FUNCTION ops.forget_alerts(interval) TO ingest;
