"""Soak test: a steady load, and the resources that grow under it. `python -m proof.soak`."""
