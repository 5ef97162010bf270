-- Runs of an element that neither ended nor hold its lock: their process died.
UPDATE ops.source_run SET
    status = 'failed', ended_at = clock_timestamp(), error_code = %(code)s, error_message = %(message)s
WHERE source = %(source)s AND element = %(element)s AND status = 'running';
