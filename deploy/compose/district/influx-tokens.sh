#!/bin/sh
# Runs once InfluxDB answers: a token that may only read for Grafana and the doctor, one of this bucket alone for results.
# The administrator's token stays here.
set -eu
INFLUX_TOKEN="$(cat /run/secrets/servers/influx-token)"
export INFLUX_TOKEN INFLUX_HOST=https://influxdb:8086 SSL_CERT_FILE=/run/secrets/servers/ca.crt
bucket="$(influx bucket list --org linli --name linli --hide-headers | cut -f1)"

token() { # token FILE DESCRIPTION RIGHTS…
  file="$1" description="$2"
  shift 2
  [ ! -s "$file" ] || return 0
  influx auth create --org linli --description "$description" "$@" --json |
    sed -n 's/^ *"token": "\(.*\)",*$/\1/p' >"$file.part"
  [ -s "$file.part" ]
  chmod 444 "$file.part"
  mv "$file.part" "$file"
}

token /secrets/for-results/influx-token results --read-bucket "$bucket" --write-bucket "$bucket"
token /secrets/for-grafana/influx-token grafana --read-bucket "$bucket"
token /secrets/for-doctor/influx-token doctor --read-bucket "$bucket"
