-- What people were told of a thing: all causes, and the empty one for the thing as a whole. Ages are in seconds.
SELECT
    cause,
    told_until,
    held_back,
    extract(EPOCH FROM now() - told_at)::float AS told_ago,
    extract(EPOCH FROM now() - failed_at)::float AS failed_ago
FROM ops.alert
WHERE kind = %(kind)s AND about = %(about)s;
