"""Questions and dashboards as code, for Metabase and for one HTML page.

What belongs here: questions as SQL, dashboards as YAML, their reader, Metabase's provisioner and the report. What does
not: models of the warehouse, which are in dbt. All queries run as the role `reader`.
"""
