-- The comparisons of a table's columns: the last one of each day, of the last days.
SELECT DISTINCT ON (column_name, window_end)
    column_name,
    window_end,
    reference_rows,
    current_rows,
    psi,
    status
FROM ops.drift_result
WHERE dataset = %(dataset)s AND checked_at >= now() - make_interval(hours => 24 * %(days)s)
ORDER BY column_name ASC, window_end ASC, checked_at DESC;
