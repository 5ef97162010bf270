-- Note how far an element was read, once that was delivered. No row if another run has begun.
UPDATE ops.source_position SET
    version = version + 1, watermark = %(watermark)s, address = %(address)s, etag = %(etag)s,
    next_page = %(next_page)s, not_before = %(not_before)s,
    pending_key = NULL, pending_since = NULL, pending_results = '[]', changed_at = clock_timestamp()
WHERE source = %(source)s AND element = %(element)s AND version = %(version)s
RETURNING version;
