"""The pipeline: from an object in the bucket to committed rows, a verdict on every row, and an entry in the ledger.

One module per stage (`claim`, `validate`, `process`, `load`, `settle`) and one per subject that they share. Free of
Airflow: a stage is a plain function from a contract, a file and its stores to a record.
"""
