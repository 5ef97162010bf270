-- Whether the last try of a batch of this topic ended a moment ago for a reason outside of it.
SELECT count(*) > 0
FROM ops.file_ingestion_log
WHERE topic = %(topic)s AND settled_at IS NULL AND postponed_at > clock_timestamp() - %(back_off)s::interval;
