SELECT
    newest_at,
    request_url,
    etag,
    last_record
FROM ops.source_state
WHERE source = %(source)s AND resource = %(resource)s AND endpoint = %(endpoint)s;
