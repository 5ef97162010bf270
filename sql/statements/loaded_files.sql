-- The state of the raw tables, from the ledger: at least one of the two values changes with every load, also if loads
-- overlap. An index-only scan of loaded entries.
SELECT
    count(*) AS loads,
    max(loaded_at) AS newest
FROM ops.file_ingestion_log
WHERE loaded_at IS NOT NULL;
