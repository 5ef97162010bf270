"""The full stack in containers: checks of docker-compose.yaml, and the `.env` file with its secrets.

What belongs here: checks of the deployment's files, and commands that containers run. What does not: the embedded
platform, which is in `local`.
"""
