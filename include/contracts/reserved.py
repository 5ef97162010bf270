"""Names that a contract cannot have, because the platform uses them.

What belongs here: the names, and where each is used. What does not: the allowed characters of a name (`reader`).
"""

from __future__ import annotations

# The ledger's dataset for files that match no contract.
UNKNOWN = "unknown"
# What a user chooses to reprocess the files of every dataset.
EVERY = "all"

# By dataset; `ingest_<dataset>` is the id of its DAG. A test compares the list with the DAG files.
RESERVED_DATASETS = {
    UNKNOWN: "files that no contract knows are entered in the ledger under it",
    EVERY: "reprocess --dataset all means every dataset",
}
