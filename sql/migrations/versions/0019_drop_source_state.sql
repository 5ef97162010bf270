-- It held how far the old collector of GitHub had read. Nothing is carried over: an unfinished listing, or a position
-- that came from a stand-in, would make the sources of today skip records. Their first runs read from the beginning,
-- and the keys of the tables merge what is there already. A view on the table stops the migration, which names it.
DROP TABLE ops.source_state;
