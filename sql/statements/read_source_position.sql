-- An element's row, and whether a stand-in answered the last run that delivered records of it.
SELECT
    p.version,
    p.watermark,
    p.address,
    p.etag,
    p.next_page,
    p.not_before,
    p.pending_key,
    p.pending_results,
    coalesce(r.stand_in, FALSE) AS is_of_stand_in
FROM ops.source_position AS p
LEFT JOIN LATERAL (
    SELECT own.stand_in FROM ops.source_run AS own
    WHERE own.source = p.source AND own.element = p.element AND own.records_written > 0
    ORDER BY own.source_run_id DESC
    LIMIT 1
) AS r ON TRUE
WHERE p.source = %(source)s AND p.element = %(element)s;
