-- The members of an archive, for a person, in the order of their paths.
SELECT
    member.file_id AS id,
    member.status,
    member.rows_read AS read,
    member.rows_rejected AS rejected,
    member.error_code AS code,
    member.rows_inserted + member.rows_updated + member.rows_unchanged AS loaded,
    substr(member.object_key, length(archive.object_key) + 2) AS member
FROM ops.file_ingestion_log AS archive
INNER JOIN ops.file_ingestion_log AS member ON archive.file_id = member.parent_file_id
WHERE archive.file_id = %(file_id)s  -- noqa: RF02
ORDER BY member.object_key COLLATE "C", member.member_number;  -- noqa: RF02
