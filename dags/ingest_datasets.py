"""One DAG `ingest_<dataset>` for each data contract in include/contracts.

Purpose: files that are dropped into the bucket become rows of the warehouse.
Trigger: continuous, on files under incoming/<dataset>/.
Reads: the contracts, when this file is parsed. Writes: what each DAG's own page says.
When it fails: a contract that cannot be used makes no DAG; the DAG file broken_contracts.py says why.
How to rerun: save the contract; its DAG appears or changes by itself.
"""

from airflow.sdk import get_parsing_context

from include.orchestration.catalog import contracts_of_this_parse
from include.orchestration.ingest import ingest_dag as make_dag

# No name of this file begins as a DAG's id does, or a dataset or topic of that name would replace it.
# A worker parses this file for one task of one DAG: the others need not be built then.
wanted = get_parsing_context().dag_id
for contract in contracts_of_this_parse():
    if wanted is None or wanted == f"ingest_{contract.dataset}":
        globals()[f"ingest_{contract.dataset}"] = make_dag(contract)
