-- A header belongs to one column. Its hash is indexed, and not itself: an entry of an index takes at most 2,704 bytes.
-- convert_to depends on the encoding of the database, which never changes, but PostgreSQL does not call it immutable.
CREATE FUNCTION ops.header_hash(p_header text) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT sha256(convert_to(p_header, 'UTF8'))
$$;
GRANT EXECUTE ON FUNCTION ops.header_hash(text) TO ingest;

ALTER TABLE ops.dataset_column DROP CONSTRAINT dataset_column_dataset_source_name_key;
CREATE UNIQUE INDEX dataset_column_dataset_source_name_key
ON ops.dataset_column (dataset, ops.header_hash(source_name));
