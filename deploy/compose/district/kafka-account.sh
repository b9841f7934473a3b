#!/bin/sh
# Runs once Kafka answers, beside it: the account of Linli. Its administrator's listener is on loopback there, without one.
set -eu
exec /opt/kafka/bin/kafka-configs.sh --bootstrap-server 127.0.0.1:9094 --alter --entity-type users --entity-name linli \
  --add-config "SCRAM-SHA-512=[password=$(cat /run/secrets/servers/kafka-password)]"
