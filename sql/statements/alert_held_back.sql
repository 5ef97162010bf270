-- Subjects with alerts that were held back and not sent yet.
SELECT about FROM ops.alert
WHERE kind = %(kind)s AND cause = '' AND held_back > 0
ORDER BY about;
