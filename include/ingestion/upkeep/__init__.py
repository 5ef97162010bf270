"""Maintenance of the bucket and the ledger beside the pipeline: sweep, requeue, purge."""
