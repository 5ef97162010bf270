"""Kafka: consuming bounded batches of messages, decoding, dead letters, producing.

What belongs here: brokers, topics, offsets, message formats and the schema registry. What does not: validating,
processing and loading rows, which `include.ingestion` does for files and messages alike.
"""
