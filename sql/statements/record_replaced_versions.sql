SELECT ops.record_replaced_versions(%(file_id)s::bigint, %(messages)s::text[]);
