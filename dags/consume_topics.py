"""Defines one DAG `consume_<topic>` for each data contract in contracts/ that has a topic.

Purpose: load the messages of the topic into the warehouse, through the same pipeline as files.
Trigger: continuous; a run starts when the topic has messages that the consumer group has not committed.
Reads: the contracts, when this file is parsed. Writes: see the page of each DAG.
On failure: a contract that cannot be used defines no DAG; the import error of broken_contracts.py gives the reason.
How to rerun: save the contract; its DAG is added or updated at the next parse.
"""

from airflow.sdk import get_parsing_context

from include.orchestration.catalog import contracts_of_this_parse
from include.orchestration.consume import consume_dag as make_dag
from include.orchestration.consume import consume_dag_id as dag_id_of

# No name in this file starts like a DAG id: a dataset or topic of that name would overwrite it.
# A worker parses this file for one task of one DAG, so only that DAG is built.
wanted = get_parsing_context().dag_id
for contract in contracts_of_this_parse():
    if contract.topic and wanted in {None, dag_id_of(contract)}:
        globals()[dag_id_of(contract)] = make_dag(contract)
