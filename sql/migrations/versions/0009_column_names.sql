-- Which header of a file became which column of a dataset's table. A column belongs to one header, and a header to one
-- column; the pipeline refuses a file that would put another header into a column.
CREATE TABLE ops.dataset_column (
    dataset text NOT NULL,
    column_name text NOT NULL,
    source_name text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (dataset, column_name),
    UNIQUE (dataset, source_name)
);
COMMENT ON TABLE ops.dataset_column IS
'The columns that files added to a dataset (unknownColumns: evolve), and the header of each.';
GRANT SELECT, INSERT ON ops.dataset_column TO ingest;
GRANT SELECT ON ops.dataset_column TO transform, reader;

-- ASCII signs other than letters, digits and _ are kept out of names; letters of other scripts are let in.
CREATE FUNCTION ops.is_column_name(p_name text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT octet_length(p_name) <= 63 AND p_name IS NFC NORMALIZED
        AND p_name ~ '^[A-Za-z_\u0080-\U0010FFFF][A-Za-z0-9_\u0080-\U0010FFFF]*$'
$$;
GRANT EXECUTE ON FUNCTION ops.is_column_name(text) TO ingest;

-- ops.ensure_dataset asks that function instead of its own pattern, whichever version of it stands here.
DO $$
DECLARE
    definition text;
    pattern constant text := 'col.name !~ ''^[A-Za-z_][A-Za-z0-9_]{0,62}$''';
BEGIN
    SELECT pg_get_functiondef(p.oid) INTO STRICT definition
    FROM pg_catalog.pg_proc AS p
    WHERE p.pronamespace = 'ops'::regnamespace AND p.proname = 'ensure_dataset';
    IF position(pattern IN definition) = 0 THEN
        RAISE EXCEPTION 'ops.ensure_dataset checks names of columns in another way than this migration knows';
    END IF;
    EXECUTE replace(definition, pattern, 'NOT ops.is_column_name(col.name)');
END $$;
