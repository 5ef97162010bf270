"""Programs that take minutes and end with figures: bench, torture (faults under load), soak (steady load), mutation.

What belongs here: programs that end with figures and a verdict. What does not: the reference that they compare with
(tests/oracle), and checks that fit into a test.
"""
