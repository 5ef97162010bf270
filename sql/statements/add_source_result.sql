-- Note what was read, before the file with it is written. No row if another run has begun.
UPDATE ops.source_position SET pending_results = pending_results || %(results)s::jsonb
WHERE source = %(source)s AND element = %(element)s AND version = %(version)s
RETURNING version;
