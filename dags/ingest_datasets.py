"""Defines one DAG `ingest_<dataset>` for each data contract in contracts/.

Purpose: load the files that are dropped into the bucket into the warehouse.
Trigger: continuous; a run starts when there are files under incoming/<dataset>/.
Reads: the contracts, when this file is parsed. Writes: see the page of each DAG.
On failure: a contract that cannot be used defines no DAG; the import error of broken_contracts.py gives the reason.
How to rerun: save the contract; its DAG is added or updated at the next parse.
"""

from airflow.sdk import get_parsing_context

from include.orchestration.catalog import contracts_of_this_parse
from include.orchestration.ingest import ingest_dag as make_dag

# No name in this file starts like a DAG id: a dataset or topic of that name would overwrite it.
# A worker parses this file for one task of one DAG, so only that DAG is built.
wanted = get_parsing_context().dag_id
for contract in contracts_of_this_parse():
    if wanted is None or wanted == f"ingest_{contract.dataset}":
        globals()[f"ingest_{contract.dataset}"] = make_dag(contract)
