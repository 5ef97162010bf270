"""Mutation testing of the core: make small changes to its code and check whether a test fails.

What belongs here: making the mutants, running the tests that reach each of them, and counting. The operators are
mutmut's; its runner is not used, because its trampolines do not support tests that need a running platform. The tests
themselves are in tests/.
"""
