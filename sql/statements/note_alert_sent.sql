-- Note that an alert was sent. Alerts that were held back meanwhile stay counted: they may be about later events.
INSERT INTO ops.alert (kind, about, cause, told_until, told_at)
SELECT
    %(kind)s::text AS kind,
    %(about)s::text AS about,
    cause,
    coalesce(%(until)s::timestamptz, now()) AS sent_until,
    now() AS sent_at
FROM unnest(%(causes)s::text[] || ''::text) AS cause
ON CONFLICT (kind, about, cause) DO UPDATE
    SET
        told_until = greatest(alert.told_until, excluded.told_until),
        told_at = excluded.told_at,
        failed_at = NULL,
        held_back = greatest(alert.held_back - %(due)s, 0)
RETURNING cause;
