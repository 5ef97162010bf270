"""This file defines no DAG. Airflow shows here, as an import error, which sources cannot be used and why.

A broken definition does not affect other sources. Its own DAG is missing until the definition is fixed. The import
error names the file, the position in the file and the remedy.
"""

from include.orchestration.sources import report_broken_sources

report_broken_sources()
