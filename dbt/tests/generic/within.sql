{#- Values lie between the bounds that are given, both inclusive. Nulls are for not_null to find. -#}
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
