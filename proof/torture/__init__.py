"""Torture: a platform under a stream of files and messages, while what it stands on is killed, cut and filled.

What belongs here: the schedule of faults (`schedule`), what carries them out (`faults`, `proxy`, `disk`), the load
(`workload`, `stream`, `topic`), and the verdict (`checks`, `report`). What does not: the pipeline, whose defects are
mended where they are, and what must become of a file, which `tests.oracle` says.
"""
