-- The alerts about a subject: one row per cause, and one with an empty cause for the subject as a whole. Ages are in
-- seconds.
SELECT
    cause,
    told_until AS sent_until,
    held_back,
    extract(EPOCH FROM now() - told_at)::float AS sent_age,
    extract(EPOCH FROM now() - failed_at)::float AS failed_age
FROM ops.alert
WHERE kind = %(kind)s AND about = %(about)s;
