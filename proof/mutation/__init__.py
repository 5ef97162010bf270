"""Mutation check of the core: change its code in small ways and look whether a test notices.

What belongs here: making the mutants, trying each with the tests that reach it, and counting. The operators are
mutmut's; what is run is not, because its trampolines know nothing of tests that need a running platform. What the
tests themselves are belongs to tests/.
"""
