-- A table in the system catalogue: its columns, and whether a unique index enforces exactly this key.
SELECT
    array(
        SELECT a.attname::text FROM pg_attribute AS a
        WHERE a.attrelid = found.oid AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum
    ) AS columns,
    (
        SELECT count(*) > 0 FROM pg_index AS i
        WHERE
            i.indrelid = found.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
            AND (
                SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM pg_attribute AS a
                WHERE a.attrelid = found.oid AND a.attnum = any(i.indkey)
            ) = (SELECT array_agg(k.name ORDER BY k.name) FROM unnest(%(key)s::text[]) AS k (name))
    ) AS key_is_enforced
FROM (SELECT to_regclass(%(name)s) AS oid) AS found
WHERE found.oid IS NOT NULL;
