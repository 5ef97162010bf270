"""This file defines no DAG. Airflow shows here, as an import error, which data contracts cannot be used and why.

A broken contract does not affect other datasets. Its own DAG is missing until the contract is fixed. The import error
names the file, the position in the file and the remedy.
"""

from include.orchestration.catalog import report_broken_contracts

report_broken_contracts()
