ALTER TABLE ops.file_ingestion_log
ADD COLUMN parent_file_id bigint REFERENCES ops.file_ingestion_log (file_id),
ADD COLUMN member_number integer,
ADD COLUMN members_passed_over integer,
ADD CONSTRAINT member_has_a_number CHECK ((parent_file_id IS NULL) = (member_number IS NULL));
COMMENT ON COLUMN ops.file_ingestion_log.parent_file_id IS
'The archive that has this file as a member. Its object_key is the key of the archive, # and the path in it.';
COMMENT ON COLUMN ops.file_ingestion_log.member_number IS 'Which entry of the archive the member is, counted from 1.';
COMMENT ON COLUMN ops.file_ingestion_log.members_passed_over IS
'Of an archive: its files that are no members to load. Empty for every other file.';

CREATE UNIQUE INDEX member_is_entered_once ON ops.file_ingestion_log (parent_file_id, member_number)
WHERE parent_file_id IS NOT NULL;

-- Two members of one archive may have one name. They are read again with their archive, which is reloaded once.
DROP INDEX ops.object_is_reloaded_once;
CREATE UNIQUE INDEX object_is_reloaded_once ON ops.file_ingestion_log (bucket, object_key)
WHERE reload_requested_at IS NOT NULL AND parent_file_id IS NULL;
