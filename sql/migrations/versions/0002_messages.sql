ALTER TABLE ops.file_ingestion_log ADD COLUMN rejects_by_code jsonb;
COMMENT ON COLUMN ops.file_ingestion_log.rejects_by_code IS 'Bad cells and broken rules by code: all of them.';
COMMENT ON COLUMN ops.file_ingestion_log.topic IS 'For a batch of messages, in place of bucket and object_key.';

-- A batch that was not finished is begun again from the same offset, by the same entry.
CREATE UNIQUE INDEX batch_is_in_flight_once ON ops.file_ingestion_log (topic, partition, first_offset)
WHERE settled_at IS NULL AND topic IS NOT NULL;
CREATE INDEX entries_of_topic ON ops.file_ingestion_log (topic, partition, first_offset) WHERE topic IS NOT NULL;
