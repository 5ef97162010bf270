-- After a complete listing: note the objects that it did not show. What it did show was refreshed, if need be.
UPDATE ops.source_object SET missing_since = %(begun_at)s
WHERE
    source = %(source)s AND bucket = %(bucket)s AND starts_with(object_key, %(prefix)s)
    AND missing_since IS NULL AND listed_at < %(begun_at)s - %(refresh)s;
