-- The newest run of each source over its elements: the counts of all attempts, status and error of the last ones.
-- `waits_until` is the time before which the source asks for no request (X-Poll-Interval, or a rate limit that ended a
-- run); empty if that is over.
WITH newest AS (
    SELECT DISTINCT ON (source)
        source,
        dag_id,
        run_id,
        started_at
    FROM ops.source_run
    ORDER BY source ASC, started_at DESC
),

attempts AS (
    SELECT
        r.*,
        row_number() OVER (PARTITION BY r.source, r.element ORDER BY r.started_at DESC) AS from_last
    FROM ops.source_run AS r
    INNER JOIN newest AS n
        ON
            r.source = n.source
            -- A run that Airflow did not start has no name: it is one attempt.
            AND ((r.dag_id = n.dag_id AND r.run_id = n.run_id) OR r.started_at = n.started_at)
)

SELECT
    source,
    min(started_at) AS last_run,
    CASE
        WHEN bool_or(from_last = 1 AND status = 'failed') THEN 'failed'
        WHEN bool_or(from_last = 1 AND status = 'running') THEN 'running'
        ELSE 'success'
    END AS status,
    sum(records_read)::bigint AS read,
    sum(records_written)::bigint AS written,
    sum(records_failed)::bigint AS failed,
    sum(records_skipped)::bigint AS skipped,
    (array_agg(error_code ORDER BY started_at DESC) FILTER (WHERE from_last = 1 AND status = 'failed'))[1] AS error,
    (array_agg(error_message ORDER BY started_at DESC) FILTER (WHERE from_last = 1 AND status = 'failed'))[1]
        AS error_message,
    coalesce(
        array_agg(element ORDER BY element) FILTER (WHERE from_last = 1 AND status = 'failed'), '{}'
    ) AS failed_elements,
    count(DISTINCT element) AS elements,
    max(ended_at) AS ended_at,
    sum(bytes)::bigint AS bytes,
    sum(requests)::bigint AS requests,
    sum(retries)::bigint AS retries,
    sum(waited_seconds) AS waited_seconds,
    min(rate_limit_remaining) AS rate_limit_remaining,
    max(rate_limit_reset_at) AS rate_limit_reset_at,
    bool_or(stand_in) AS stand_in,
    greatest(
        max(rate_limit_reset_at) FILTER (
            WHERE from_last = 1 AND error_code = 'rate-limited' AND rate_limit_reset_at > now()
        ),
        (
            SELECT max(p.not_before) FROM ops.source_position AS p
            WHERE p.source = attempts.source AND p.not_before > now()
        )
    ) AS waits_until
FROM attempts
GROUP BY source
ORDER BY source;
