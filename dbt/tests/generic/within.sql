{#- Values are within the given bounds, both inclusive. Nulls pass. -#}
{% test within(model, column_name, at_least=none, at_most=none) %}

SELECT *
FROM {{ model }}
WHERE
    FALSE
    {%- if at_least is not none %}
        OR {{ column_name }} < {{ at_least }}
    {%- endif %}
    {%- if at_most is not none %}
        OR {{ column_name }} > {{ at_most }}
    {%- endif %}

{% endtest %}
