"""The embedded platform: starts, supervises and stops the real services on one machine, without Docker.

What belongs here: PostgreSQL, the S3 server, the Kafka-protocol broker and Airflow as supervised processes, and the
commands `filegate up`, `down`, `status`, `env`, `drop` and `clean`. What does not: code that a pipeline needs at run
time. The library in `include` gets addresses and keys from its settings and does not depend on this package.
"""
