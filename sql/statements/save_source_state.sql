INSERT INTO ops.source_state (source, resource, endpoint, newest_at, request_url, etag, last_record, answer)
VALUES (%(source)s, %(resource)s, %(endpoint)s, %(newest_at)s, %(request_url)s, %(etag)s, %(last_record)s, %(answer)s)
ON CONFLICT (source, resource, endpoint) DO UPDATE SET
    newest_at = excluded.newest_at, request_url = excluded.request_url, etag = excluded.etag,
    last_record = excluded.last_record, answer = excluded.answer, asked_at = clock_timestamp();
