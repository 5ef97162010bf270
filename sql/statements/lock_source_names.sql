-- Names of objects are given out by one writer at a time: the store has no put that spares what is there.
SELECT pg_advisory_xact_lock(hashtextextended('names of source files', 0));
