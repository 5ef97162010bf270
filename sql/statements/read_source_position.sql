-- An element's row, and whether a stand-in answered the last run that delivered records of it.
SELECT
    version,
    watermark,
    address,
    etag,
    next_page,
    not_before,
    pending_key,
    pending_results,
    coalesce((
        SELECT run.stand_in FROM ops.source_run AS run
        WHERE run.source = kept.source AND run.element = kept.element AND run.records_written > 0
        ORDER BY run.source_run_id DESC
        LIMIT 1
    ), FALSE) AS is_of_stand_in
FROM ops.source_position AS kept
WHERE source = %(source)s AND element = %(element)s;
