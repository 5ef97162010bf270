"""Torture: fault injection into a platform under load. Processes are killed, connections cut, the disk filled.

What belongs here: the schedule of faults (`schedule`), their injection (`faults`, `proxy`, `disk`), the load
(`workload`, `stream`, `topic`), and the verdict (`checks`, `report`). What does not: the expected outcome of a file,
which is computed by `tests.oracle`.
"""
