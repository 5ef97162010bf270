"""Questions and dashboards as code: what Metabase shows, and the same as one page for those without it.

What belongs here: questions as SQL, dashboards as YAML, their reader, Metabase's provisioner and the report. What does
not: models of the warehouse, which are dbt's. Everything here acts as the role `reader`.
"""
