-- The definition of a dataset's table: one row per column, or one row without a column name.
WITH wanted AS (
    SELECT
        w.name,
        w.type
    FROM jsonb_to_recordset(%(columns)s::jsonb) AS w (name text, type text)
),

target AS (
    SELECT
        oid,
        CASE relpersistence WHEN 'u' THEN 'unlogged' ELSE relkind::text END AS relkind
    FROM pg_class
    WHERE relnamespace = 'raw'::regnamespace AND relname = %(dataset)s
)

SELECT
    target.relkind,
    attribute.attname,
    attribute.attnotnull,
    format_type(attribute.atttypid, attribute.atttypmod) AS type,
    attribute.atthasdef OR attribute.attidentity <> '' AS has_default,
    attribute.attgenerated <> '' OR attribute.attidentity = 'a' AS is_generated,
    coalesce(attribute.attnum = any(key.conkey), FALSE) AS is_key,
    coalesce(
        ops.type_widens(format_type(attribute.atttypid, attribute.atttypmod), wanted.type), FALSE
    ) AS may_widen
FROM target
LEFT JOIN pg_attribute AS attribute
    ON target.oid = attribute.attrelid AND attribute.attnum > 0 AND NOT attribute.attisdropped
LEFT JOIN pg_constraint AS key ON target.oid = key.conrelid AND key.contype = 'p'
LEFT JOIN wanted ON attribute.attname = wanted.name
ORDER BY attribute.attnum;
