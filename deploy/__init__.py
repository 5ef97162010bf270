"""The full stack in containers: what holds docker-compose.yaml to its rules, and makes its secrets.

What belongs here: checks of the files that a deployment is made of, and the file of its settings. What does not: the
embedded platform, which is in `local`.
"""
