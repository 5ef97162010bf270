{#-
The condition for rows of a raw table, called `source_rows`, that an incremental model does not have in this version.
`key` is the name of the key column, or a list of names.

A plain watermark would miss rows: the rows of a load have the time at which its transaction began, and a later, shorter
load of the same table may be committed first. So the watermark overlaps some hours, and rows that the model has already
are excluded.
-#}
{% macro changed_rows(key) -%}
    {%- if is_incremental() -%}
        source_rows._loaded_at > coalesce(
            (SELECT max(loaded_at) FROM {{ this }}), '-infinity'::timestamptz
        ) - interval '{{ var("load_overlap_hours") }} hours'
        AND NOT EXISTS (
            SELECT 1
            FROM {{ this }} AS held
            WHERE
                {% for column in ([key] if key is string else key) -%}
                    held.{{ column }} = source_rows.{{ column }} AND{{ " " }}
                {%- endfor -%}
                held.loaded_at = source_rows._loaded_at
        )
    {%- else -%}
        TRUE
    {%- endif -%}
{%- endmacro %}
