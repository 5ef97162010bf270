-- For each task its first row of features with T < due_at < now, and whether it was not done by due_at.
WITH known AS (
    SELECT
        f.task_id,
        f.event_timestamp,
        state.due_at
    FROM features.tasks AS f
    CROSS JOIN
        LATERAL (
            SELECT r.due_at
            FROM raw.tasks AS r
            WHERE r.task_id = f.task_id AND r.updated_at < f.event_timestamp
            ORDER BY r.updated_at DESC
            LIMIT 1
        ) AS state
    WHERE f.event_timestamp < state.due_at AND state.due_at < now()
),

examples AS (
    SELECT DISTINCT ON (task_id)
        task_id,
        event_timestamp,
        due_at
    FROM known
    ORDER BY task_id, event_timestamp
)

SELECT
    e.task_id,
    e.event_timestamp,
    e.due_at,
    coalesce(outcome.status <> 'done', true) AS is_late
FROM examples AS e
LEFT JOIN LATERAL (
    SELECT r.status
    FROM raw.tasks AS r
    WHERE r.task_id = e.task_id AND r.updated_at <= e.due_at
    ORDER BY r.updated_at DESC
    LIMIT 1
) AS outcome ON true
ORDER BY e.task_id
