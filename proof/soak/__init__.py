"""A steady load for a while, and what grows meanwhile: `python -m proof.soak`."""
