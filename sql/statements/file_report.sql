-- The report of one file as one JSON document.
SELECT jsonb_build_object(
    'file_id', log.file_id,
    'dataset', log.dataset,
    'file', log.object_key,
    'bucket', log.bucket,
    'etag', log.etag,
    'sha256', log.sha256,
    'size_bytes', log.size_bytes,
    'format', log.format,
    'contract_version', log.contract_version,
    'status', log.status,
    'code', log.error_code,
    'message', log.error_message,
    'attempts', log.attempts,
    'rows', jsonb_build_object(
        'read', log.rows_read, 'inserted', log.rows_inserted, 'updated', log.rows_updated,
        'unchanged', log.rows_unchanged, 'duplicate', log.rows_duplicate, 'rejected', log.rows_rejected,
        'deleted', log.rows_deleted, 'deletes_skipped', log.deletes_skipped
    ),
    'times', jsonb_build_object(
        'claimed', log.claimed_at, 'validated', log.validated_at, 'processed', log.processed_at,
        'loaded', log.loaded_at
    ),
    'run', jsonb_build_object('dag_id', log.dag_id, 'run_id', log.run_id),
    'members', (
        SELECT
            jsonb_build_object(
                'loaded', count(*) FILTER (WHERE member.status IN ('loaded', 'archived')),
                'duplicate', count(*) FILTER (WHERE member.status = 'duplicate'),
                'refused', count(*) FILTER (WHERE member.status LIKE '%%failed'),
                'passed_over', log.members_passed_over,
                'first_refused', coalesce(
                    jsonb_agg(
                        jsonb_build_object(
                            'file_id', member.file_id, 'file', member.object_key, 'code', member.error_code
                        ) ORDER BY member.object_key COLLATE "C", member.member_number  -- noqa: RF02
                    ) FILTER (WHERE member.status LIKE '%%failed' AND member.refused_before < 100), '[]'::jsonb
                )
            )
        FROM (
            SELECT
                *,
                count(*) FILTER (WHERE status LIKE '%%failed') OVER (
                    ORDER BY object_key COLLATE "C", member_number
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS refused_before
            FROM ops.file_ingestion_log
            WHERE parent_file_id = log.file_id
        ) AS member
        HAVING log.members_passed_over IS NOT NULL
    ),
    'rejects_by_code', coalesce(log.rejects_by_code, '{}'::jsonb),
    'rejected_rows', (
        SELECT coalesce(jsonb_agg(to_jsonb(first) - 'file_id' ORDER BY first.source_row), '[]'::jsonb)
        FROM (
            SELECT * FROM ops.rejected_rows
            WHERE rejected_rows.file_id = log.file_id
            ORDER BY rejected_rows.source_row LIMIT 100
        ) AS first
    ),
    'expectations', (
        SELECT
            coalesce(
                jsonb_agg(to_jsonb(result) - 'file_id' - 'result_id' - 'dataset' ORDER BY result.result_id), '[]'::jsonb
            )
        FROM ops.quality_result AS result
        WHERE result.file_id = log.file_id
    )
) FROM ops.file_ingestion_log AS log
WHERE log.file_id = %(file_id)s;
