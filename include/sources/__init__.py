"""The sources: each asks an API for news, keeps its answers as they came, and writes files into incoming/.

A source never loads a table: its files take the same road as a partner's, so that checks, quarantine, ledger and
reconciliation hold for them too.
"""
