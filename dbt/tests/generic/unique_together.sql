{#- No two rows have the same values in all of these columns; nulls count as equal. -#}
{% test unique_together(model, columns) %}

SELECT
    {{ columns | join(", ") }},
    count(*) AS rows_alike
FROM {{ model }}
GROUP BY {{ columns | join(", ") }}
HAVING count(*) > 1

{% endtest %}
