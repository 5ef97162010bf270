{#- The part of an address after the last @, in lower case; null where there is none. -#}
{% macro email_domain(address) -%}
    nullif(lower(substring({{ address }} FROM '@([^@]+)$')), '')
{%- endmacro %}


{#-
Whether an address looks like an employer's. False for free-mail providers (var `personal_email_domains`), for noreply
addresses, for host names (no dot, .local, .lan and the like), and for null.
-#}
{% macro is_company_email(address) -%}
    coalesce(
        {{ email_domain(address) }} NOT IN (
            {%- for domain in var("personal_email_domains") %}'{{ domain }}'{{ ", " if not loop.last }}{% endfor -%}
        )
        AND {{ address }} !~* '(^|[^a-z])no-?reply([^a-z]|$)'
        AND {{ email_domain(address) }} ~ '^[^.]+([.][^.]+)+$'
        AND {{ email_domain(address) }} !~ '[.](local|localdomain|localhost|lan|home|internal|invalid|test)$',
        FALSE
    )
{%- endmacro %}
