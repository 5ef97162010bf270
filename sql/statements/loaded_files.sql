-- What the raw tables hold, as the ledger says: both numbers together change with every load, also with one that began
-- earlier and ended later. Read from the index of loaded entries alone.
SELECT
    count(*) AS loads,
    max(loaded_at) AS newest
FROM ops.file_ingestion_log
WHERE loaded_at IS NOT NULL;
