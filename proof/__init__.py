"""The trials that take minutes: a platform under faults, under a steady load, and a core whose code is changed.

What belongs here: programs that end with figures and a verdict. What does not: the reference they compare with,
which is tests/oracle, and whatever fits into a test.
"""
