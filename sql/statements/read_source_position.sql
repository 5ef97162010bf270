SELECT
    version,
    watermark,
    address,
    etag,
    next_page,
    not_before,
    pending_key,
    pending_results
FROM ops.source_position
WHERE source = %(source)s AND element = %(element)s;
