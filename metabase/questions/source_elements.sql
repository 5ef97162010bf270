-- title: Last run of each element
-- description: The watermark is the newest value that was delivered. A stand-in is part of the platform.
-- chart: table
-- columns:
--   source: {label: Source}
--   element: {label: Element}
--   started_at: {label: Last run (UTC), format: time}
--   status: {label: Status}
--   error_code: {label: Code}
--   records_written: {label: Delivered, format: integer}
--   watermark: {label: Watermark}
--   rate_limit_remaining: {label: Requests left, format: integer}
--   rate_limit_reset_at: {label: Limit resets (UTC), format: time}
--   answered_by: {label: Answered by}
-- filters: {source: text}
SELECT
    run.source,
    run.element,
    run.started_at AT TIME ZONE 'UTC' AS started_at,
    run.status,
    run.error_code,
    run.records_written,
    position.watermark,
    run.rate_limit_remaining,
    run.rate_limit_reset_at AT TIME ZONE 'UTC' AS rate_limit_reset_at,
    CASE
        WHEN run.stand_in THEN 'stand-in' WHEN run.requests > 0 OR run.records_read > 0 THEN 'source'
    END AS answered_by
FROM (
    SELECT DISTINCT ON (source, element) *
    FROM ops.source_run
    WHERE
        TRUE
        AND source = %(source)s
    ORDER BY source ASC, element ASC, started_at DESC
) AS run
LEFT JOIN ops.source_position AS position ON run.source = position.source AND run.element = position.element
ORDER BY run.source, run.element
