"""Defines one DAG `collect_<source>` for each definition in sources/.

Purpose: collect records of APIs as files or messages, which the DAGs of their datasets load.
Trigger: the schedule of the definition. A new DAG is paused; unpausing it starts a run.
Reads: the definitions and their contracts, when this file is parsed. Writes: see the page of each DAG.
On failure: a definition that cannot be used defines no DAG; the import error of broken_sources.py gives the reason.
How to rerun: save the definition; its DAG is added or updated at the next parse.
"""

from airflow.sdk import get_parsing_context

from include.orchestration.collect import collect_dag as make_dag
from include.orchestration.collect import collect_dag_id as dag_id_of
from include.orchestration.sources import sources_of_this_parse

# No name in this file starts like a DAG id: a source of that name would overwrite it.
# A worker parses this file for one task of one DAG, so only that DAG is built.
wanted = get_parsing_context().dag_id
for source, contract in sources_of_this_parse():
    if wanted in {None, dag_id_of(source)}:
        globals()[dag_id_of(source)] = make_dag(source, contract)
