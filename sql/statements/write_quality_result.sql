INSERT INTO ops.quality_result
(dataset, expectation, column_name, severity, success, observed, expected, checked_at)
VALUES (
    %(dataset)s, %(expectation)s, %(column_name)s, %(severity)s, %(success)s, %(observed)s, %(expected)s, %(checked_at)s
);
