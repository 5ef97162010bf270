"""Drafts a contract from a sample file with the readers that load files: what drafts, loads."""
