"""Batch sources: each requests new records from an API, stores the raw responses, and writes files into incoming/.

A source never loads a table: its files go through the same pipeline as those of partners, so that checks, quarantine,
ledger and reconciliation apply to them too.
"""
