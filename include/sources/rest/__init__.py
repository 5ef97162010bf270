"""Reads REST APIs as their definitions say: pages of answers become records, one JSON object on a line each."""
