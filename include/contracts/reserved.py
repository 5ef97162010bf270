"""Names that a contract cannot have, because something of the platform has them.

What belongs here: the names, and what each one is. What does not: how a name is written (`reader`).
"""

from __future__ import annotations

# The ledger's dataset of files that no contract knows.
UNKNOWN = "unknown"

# By dataset; `ingest_<dataset>` is the id of its DAG. A test compares the list with the DAG files.
RESERVED_DATASETS = {
    UNKNOWN: "files that no contract knows are entered in the ledger under it",
    "github": "ingest_github is the id of the DAG that collects from GitHub",
}
