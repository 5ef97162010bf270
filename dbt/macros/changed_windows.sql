{#-
A checksum of the staged rows of a window: it differs when a row came, went or was loaded in another version. The sum does
not depend on the order of the rows.
-#}
{% macro rows_version(key) -%}
    sum(hashtextextended(concat_ws(' ', {{ key | join(", ") }}, extract(EPOCH FROM loaded_at)), 0))
{%- endmacro %}


{#-
The windows that an incremental model must build: those whose rows differ from the ones that it was built from. All in a
full build. `versions` is a relation with the columns of the window and `rows_version`; `incremental` is the result of
`is_incremental()`, which a unit test overrides in its model only.

A watermark would not do: a late row belongs to an old window, and a row that moves to another window leaves no trace in
the one that it left. The staged rows are read for the checksums, but only changed windows are written.
-#}
{% macro changed_windows(versions, columns, incremental) -%}
    SELECT
        {%- for column in columns %}
        {{ column }}{{ "," if not loop.last }}
        {%- endfor %}
    FROM {{ versions }}
    {%- if incremental %}
    FULL JOIN (
        SELECT DISTINCT
            {{ columns | join(", ") }},
            rows_version
        FROM {{ this }}
    ) AS held USING ({{ columns | join(", ") }})
    WHERE {{ versions }}.rows_version IS DISTINCT FROM held.rows_version
    {%- endif %}
{%- endmacro %}
