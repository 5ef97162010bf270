-- Without pg_temp in its path a function looks there first, before pg_catalog: whoever may call it could put a view by
-- the name of a catalogue's table into a temporary schema of their own, and have their code run as the function's
-- owner. All of ours are in this schema. A later one says the same itself; a test looks at them all.
DO $$
DECLARE
    ours regprocedure;
BEGIN
    FOR ours IN SELECT oid FROM pg_catalog.pg_proc WHERE pronamespace = 'ops'::regnamespace
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, pg_temp', ours);
    END LOOP;
END $$;

-- By default everybody may call a new function. From here on nobody may, until a migration grants it.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM public;
