-- Save the reason why a run read nothing; the position in the API is not changed.
INSERT INTO ops.source_state (source, resource, endpoint, answer)
VALUES (%(source)s, %(resource)s, %(endpoint)s, %(answer)s)
ON CONFLICT (source, resource, endpoint) DO UPDATE SET answer = excluded.answer, asked_at = clock_timestamp();
