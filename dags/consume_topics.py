"""One DAG `consume_<topic>` for each data contract in include/contracts that names a topic.

Purpose: messages become rows of the warehouse, on the same road as files.
Trigger: continuous, on messages that the group has not committed.
Reads: the contracts, when this file is parsed. Writes: what each DAG's own page says.
When it fails: a contract that cannot be used makes no DAG; the DAG file broken_contracts.py says why.
How to rerun: save the contract; its DAG appears or changes by itself.
"""

from airflow.sdk import get_parsing_context

from include.orchestration.catalog import contracts_of_this_parse
from include.orchestration.consume import consume_dag as make_dag
from include.orchestration.consume import consume_dag_id as dag_id_of

# No name of this file begins as a DAG's id does, or a dataset or topic of that name would replace it.
# A worker parses this file for one task of one DAG: the others need not be built then.
wanted = get_parsing_context().dag_id
for contract in contracts_of_this_parse():
    if contract.topic and wanted in {None, dag_id_of(contract)}:
        globals()[dag_id_of(contract)] = make_dag(contract)
