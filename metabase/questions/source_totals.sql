-- title: Runs by source
-- description: Failed records could not be taken from an answer. Rows that a contract refuses are under Ingestion.
-- chart: table
-- columns:
--   source: {label: Source}
--   runs: {label: Runs, format: integer}
--   runs_failed: {label: Failed runs, format: integer}
--   error_rate: {label: Error rate, format: share}
--   records_read: {label: Records read, format: integer}
--   records_written: {label: Delivered, format: integer}
--   records_failed: {label: Failed records, format: integer}
--   bytes: {label: Bytes, format: integer}
--   requests: {label: Requests, format: integer}
--   retries: {label: Retries, format: integer}
--   waited_seconds: {label: Waited (s), format: decimal}
-- filters: {start_date: date, end_date: date, source: text}
SELECT
    source,
    count(*) AS runs,
    count(*) FILTER (WHERE status = 'failed') AS runs_failed,
    (
        count(*) FILTER (WHERE status = 'failed')::numeric / nullif(count(*) FILTER (WHERE status <> 'running'), 0)
    )::numeric(7, 6) AS error_rate,
    sum(records_read)::bigint AS records_read,
    sum(records_written)::bigint AS records_written,
    sum(records_failed)::bigint AS records_failed,
    sum(bytes)::bigint AS bytes,
    sum(requests)::bigint AS requests,
    sum(retries)::bigint AS retries,
    sum(waited_seconds)::numeric(20, 1) AS waited_seconds
FROM ops.source_run
WHERE
    TRUE
    AND (started_at AT TIME ZONE 'UTC')::date >= %(start_date)s
    AND (started_at AT TIME ZONE 'UTC')::date <= %(end_date)s
    AND source = %(source)s
GROUP BY source
ORDER BY source
