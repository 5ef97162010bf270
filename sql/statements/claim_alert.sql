-- Claim an alert: one row per cause, and one with an empty cause that counts for all causes of the subject. A cause is
-- quiet for a time after it was sent, and pauses after it was tried. Returns how often an alert about the subject was
-- due since the last one that was sent, this time included, and whether any cause is neither quiet nor pauses.
WITH counted AS (
    INSERT INTO ops.alert (kind, about, cause, covered_until, held_back)
    VALUES (%(kind)s, %(about)s, '', coalesce(%(since)s::timestamptz, now()), 1)
    ON CONFLICT (kind, about, cause) DO UPDATE SET held_back = alert.held_back + 1
    RETURNING held_back
),

claimed AS (
    INSERT INTO ops.alert (kind, about, cause, covered_until, failed_at)
    SELECT
        %(kind)s::text AS kind,
        %(about)s::text AS about,
        cause,
        coalesce(%(since)s::timestamptz, now()) AS sent_until,
        now() AS tried_at
    FROM unnest(%(causes)s::text[]) AS cause
    ON CONFLICT (kind, about, cause) DO UPDATE
        SET
            failed_at = excluded.failed_at
        WHERE
        coalesce(alert.sent_at <= now() - %(quiet)s::interval, TRUE)
        AND coalesce(alert.failed_at <= now() - %(pause)s::interval, TRUE)
    RETURNING cause
)

SELECT
    held_back AS due,
    (SELECT count(*) > 0 FROM claimed) AS is_claimed
FROM counted;
