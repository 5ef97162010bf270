#!/bin/bash
# Creates the topics before any producer writes to them. Idempotent: existing topics are not changed.
set -euo pipefail

tool="${KAFKA_TOPICS_TOOL:-/opt/kafka/bin/kafka-topics.sh}"
read -r -a topics <<< "$KAFKA_TOPICS"
for topic in "${topics[@]}"; do
  "$tool" --bootstrap-server "$KAFKA_BOOTSTRAP" --create --if-not-exists \
    --topic "$topic" --partitions "$KAFKA_PARTITIONS" --replication-factor 1
done
