-- Whether a batch of this topic was postponed within the back-off.
SELECT count(*) > 0
FROM ops.file_ingestion_log
WHERE topic = %(topic)s AND settled_at IS NULL AND postponed_at > clock_timestamp() - %(back_off)s::interval;
