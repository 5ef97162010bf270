-- Note the key of the delivery that begins. The results of earlier attempts under the same key stay: the file of one of
-- them may still arrive. No row if another run has changed the position since it was read.
INSERT INTO ops.source_position AS kept (source, element, version, pending_key, pending_since)
VALUES (
    %(source)s, %(element)s, 1, %(key)s,
    CASE WHEN %(key)s::text IS NOT NULL THEN clock_timestamp() END
)
ON CONFLICT (source, element) DO UPDATE
    SET
        version = kept.version + 1,
        pending_key = excluded.pending_key,
        pending_since = CASE
            WHEN kept.pending_key = excluded.pending_key THEN kept.pending_since ELSE excluded.pending_since
        END,
        pending_results = CASE WHEN kept.pending_key = excluded.pending_key THEN kept.pending_results ELSE '[]' END
    WHERE kept.version = %(version)s
RETURNING version;
