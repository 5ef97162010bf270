-- Write the figures of a run. One that has ended keeps status, error and time: a later run has found its file.
UPDATE ops.source_run SET
    ended_at = coalesce(ended_at, clock_timestamp()),
    status = CASE WHEN status = 'running' THEN %(status)s ELSE status END,
    error_code = CASE WHEN status = 'running' THEN %(error_code)s ELSE error_code END,
    error_message = CASE WHEN status = 'running' THEN %(error_message)s ELSE error_message END,
    records_read = %(records_read)s,
    records_written = %(records_written)s,
    records_failed = %(records_failed)s,
    bytes = %(bytes)s,
    requests = %(requests)s,
    retries = %(retries)s,
    waited_seconds = %(waited_seconds)s,
    rate_limit_remaining = %(rate_limit_remaining)s,
    rate_limit_reset_at = %(rate_limit_reset_at)s,
    watermark = %(watermark)s,
    object_key = %(object_key)s,
    stand_in = %(stand_in)s
WHERE source_run_id = %(source_run_id)s AND (status = 'running' OR %(has_arrived)s);
