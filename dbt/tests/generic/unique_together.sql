{#- No two rows agree in all of these columns; nulls agree with nulls. -#}
{% test unique_together(model, columns) %}

SELECT
    {{ columns | join(", ") }},
    count(*) AS rows_alike
FROM {{ model }}
GROUP BY {{ columns | join(", ") }}
HAVING count(*) > 1

{% endtest %}
