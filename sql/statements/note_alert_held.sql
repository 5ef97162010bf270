-- Note an alert that was not sent, because one was sent a short time ago or because sending failed.
INSERT INTO ops.alert (kind, about, cause, told_until, failed_at, held_back)
SELECT
    %(kind)s::text AS kind,
    %(about)s::text AS about,
    cause,
    coalesce(%(since)s::timestamptz, now()) AS sent_until,
    CASE WHEN %(failed)s THEN now() END AS failed_at,
    1 AS held_back
FROM unnest(%(causes)s::text[]) AS cause
ON CONFLICT (kind, about, cause) DO UPDATE SET
    held_back = alert.held_back + 1, failed_at = coalesce(excluded.failed_at, alert.failed_at);
