"""The embedded stack: starts, watches and stops the real services on one machine, without Docker.

What belongs here: PostgreSQL, the S3 server, the Kafka-protocol broker and Airflow as supervised processes, and the
commands behind `make up`, `down`, `status`, `env`, `drop` and `clean`. What does not: anything a pipeline needs to
run; the library in `include` knows only addresses and keys, and never where they come from.
"""
