INSERT INTO ops.drift_result
(checked_at, dataset, column_name, kind, window_end, reference_rows, current_rows, psi, status)
VALUES (
    %(checked_at)s, %(dataset)s, %(column_name)s, %(kind)s, %(window_end)s, %(reference_rows)s, %(current_rows)s,
    %(psi)s, %(status)s
);
