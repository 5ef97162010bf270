-- Note that an alert was sent. Alerts that were held back meanwhile stay counted: they may be about later events.
INSERT INTO ops.alert (kind, about, cause, covered_until, sent_at)
SELECT
    %(kind)s::text AS kind,
    %(about)s::text AS about,
    cause,
    coalesce(%(until)s::timestamptz, now()) AS sent_until,
    now() AS sent_at
FROM unnest(%(causes)s::text[] || ''::text) AS cause
ON CONFLICT (kind, about, cause) DO UPDATE
    SET
        covered_until = greatest(alert.covered_until, excluded.covered_until),
        sent_at = excluded.sent_at,
        failed_at = NULL,
        held_back = greatest(alert.held_back - %(due)s, 0)
RETURNING cause;
