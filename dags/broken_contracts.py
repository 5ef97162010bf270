"""No DAG: the place where Airflow shows, as an import error of this file, which contracts cannot be used and why.

A broken contract touches no other dataset. Its own DAG is missing until the contract is mended; this page names
the file, the place inside it, and the remedy.
"""

from include.orchestration.catalog import report_broken_contracts

report_broken_contracts()
