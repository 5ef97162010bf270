"""How fast, in how much memory: measured on a platform of its own, against the best load written by hand.

Ratios are taken in one run on one machine. What is compared is data that is the same to the last byte.
"""
