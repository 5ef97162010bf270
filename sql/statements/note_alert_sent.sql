-- Note that an alert was sent. Alerts that were held back while it was sent stay: they may be about later events.
INSERT INTO ops.alert (kind, about, cause, told_until, told_at)
SELECT
    %(kind)s::text AS kind,
    %(about)s::text AS about,
    cause,
    coalesce(%(until)s::timestamptz, now()) AS sent_until,
    now() AS sent_at
FROM unnest(%(causes)s::text[]) AS cause
ON CONFLICT (kind, about, cause) DO UPDATE SET
    told_until = excluded.told_until, told_at = excluded.told_at, failed_at = NULL,
    held_back = greatest(alert.held_back - %(counted)s, 0);
