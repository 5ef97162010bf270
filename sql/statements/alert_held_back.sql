-- Of what people have yet to be told.
SELECT about FROM ops.alert
WHERE kind = %(kind)s AND cause = '' AND held_back > 0
ORDER BY about;
