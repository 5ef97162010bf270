"""Trials that take minutes: fault injection (torture), a steady load (soak) and mutation testing of the core.

What belongs here: programs that end with figures and a verdict. What does not: the reference that they compare with
(tests/oracle), and checks that fit into a test.
"""
