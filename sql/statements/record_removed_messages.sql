-- Insert an entry for messages that the broker removed before the group had read them. Each range is recorded once: if
-- the partition's latest entry has this code, its run ended before it could commit the position after the range.
WITH latest AS (
    SELECT
        error_code,
        last_offset
    FROM ops.file_ingestion_log
    WHERE topic = %(topic)s AND partition = %(partition)s AND dataset = %(dataset)s
    ORDER BY file_id DESC
    LIMIT 1
),

recorded AS (
    SELECT max(last_offset) + 1 AS next_offset
    FROM latest
    WHERE error_code = %(code)s AND last_offset >= %(first_offset)s
),

missing AS (
    SELECT coalesce(next_offset, %(first_offset)s) AS first_offset
    FROM recorded
)

INSERT INTO ops.file_ingestion_log
(
    dataset, topic, partition, first_offset, last_offset, contract_version, status, stage, error_code, error_message,
    settled_at, dag_id, run_id
)
SELECT
    %(dataset)s,
    %(topic)s,
    %(partition)s,
    first_offset,
    %(last_offset)s,
    %(contract_version)s,
    'validation_failed' AS status,
    'settle' AS stage,
    %(code)s,
    format(
        'The topic no longer has offsets %%s to %%s (%%s messages at most): its retention, or a deletion, removed them '
        'before they were read. Ask the producer to send them again, and raise the topic''s retention.ms or '
        'retention.bytes.',
        first_offset, %(last_offset)s, %(last_offset)s - first_offset + 1
    ) AS error_message,
    clock_timestamp() AS settled_at,
    %(dag_id)s,
    %(run_id)s
FROM missing
WHERE first_offset <= %(last_offset)s
RETURNING topic, partition, first_offset, last_offset;
