#!/bin/bash
# The topics, made before anybody writes to them. Safe to run at every start: one that is there stays as it is.
set -euo pipefail

tool="${KAFKA_TOPICS_TOOL:-/opt/kafka/bin/kafka-topics.sh}"
read -r -a topics <<< "$KAFKA_TOPICS"
for topic in "${topics[@]}"; do
  "$tool" --bootstrap-server "$KAFKA_BOOTSTRAP" --create --if-not-exists \
    --topic "$topic" --partitions "$KAFKA_PARTITIONS" --replication-factor 1
done
