-- What stopped a run that read nothing: how far the API was read stays as it was.
INSERT INTO ops.source_state (source, resource, endpoint, answer)
VALUES (%(source)s, %(resource)s, %(endpoint)s, %(answer)s)
ON CONFLICT (source, resource, endpoint) DO UPDATE SET answer = excluded.answer, asked_at = clock_timestamp();
