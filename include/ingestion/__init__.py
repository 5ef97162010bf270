"""The core: from an object in the bucket to committed rows, a verdict on every row, and an entry in the ledger.

One file per stage (`validate`, `process`, `load`, `settle`, with `claim` before them) and one per thing they
share. Free of Airflow: a stage is a plain function from a contract, a file and its stores to a record.
"""
