#!/usr/bin/env bash
# One Kafka broker for tests and trials: loopback, KRaft, in the foreground; Ctrl-C or SIGTERM ends it.
#   deploy/kafka/run.sh --port P --data DIR [--listener NAME://127.0.0.1:P2]… [--settings FILE] [--scram ACCOUNT]…
# Further listeners, and settings added to ours, may have TLS and accounts: --scram 'SCRAM-SHA-512=[name=N,password=P]'.
# The jars are fetched once, with mvn and this machine's own settings for it, into the user's cache folder. Started again
# on the same DIR it is the same cluster with the same data. Needs Java 17 or newer, and mvn for the first start.
set -euo pipefail

usage() {
  echo "usage: deploy/kafka/run.sh --port PORT --data DIR [--listener URL]… [--settings FILE] [--scram ACCOUNT]…" >&2
  exit 2
}

fail() {
  echo "deploy/kafka/run.sh: $1" >&2
  exit 1
}

port="" data="" more="" settings="" scram=()
while [ $# -gt 0 ]; do
  case "$1" in
    --port) port="${2:-}" ;;
    --data) data="${2:-}" ;;
    --listener) more="$more,${2:-}" ;;
    --settings) settings="${2:-}" ;;
    --scram) scram+=(--add-scram "${2:-}") ;;
    *) usage ;;
  esac
  shift 2 || usage
done
[[ "$port" =~ ^[0-9]+$ && -n "$data" ]] || usage

here="$(cd "$(dirname "$0")" && pwd)"
command -v java >/dev/null || fail "java is not installed; Kafka needs Java 17 or newer (Debian: default-jre-headless)"

# --- the jars: complete, or not there at all; two first starts at a time wait for each other ---------------------------
version="$(sed -n '/kafka_2.13/,/version/s:.*<version>\(.*\)</version>.*:\1:p' "$here/pom.xml")"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/linli"
jars="$cache/kafka-$version-$(cksum <"$here/pom.xml" | cut -d' ' -f1)"
mkdir -p "$cache" "$data"
if [ ! -d "$jars" ]; then
  command -v mvn >/dev/null || fail "mvn is not installed; it fetches the broker's jars once (Debian: maven)"
  exec 9>"$cache/kafka.lock"
  flock 9
  if [ ! -d "$jars" ]; then
    echo "fetching Kafka $version into $jars" >&2
    part="$(mktemp -d "$cache/part.XXXXXX")"
    trap 'rm -rf "$part"' EXIT
    mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$part/jars" \
      >"$part/mvn.log" 2>&1 || { cat "$part/mvn.log" >&2; fail "mvn could not fetch the broker's jars"; }
    mv "$part/jars" "$jars"
    rm -rf "$part"
    trap - EXIT
  fi
  exec 9>&-
fi

# --- settings: a single node, small, quick to come back after kill -9 ---------------------------------------------------
data="$(cd "$data" && pwd)"
controller=0
until [ "$controller" -ne 0 ] && ! (: <"/dev/tcp/127.0.0.1/$controller") 2>/dev/null; do
  controller=$((20000 + RANDOM % 12000)) # below the ports that outgoing connections are given
done
cat >"$data/server.properties" <<SETTINGS
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller$more
advertised.listeners=PLAINTEXT://127.0.0.1:$port$more
log.dirs=$data/log
auto.create.topics.enable=false
# internal topics of a single node
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=500
# a killed broker may register again only when its old session has ended
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.io.threads=4
num.network.threads=2
log.cleaner.dedupe.buffer.size=16777216
# what is to be compacted is looked for each second, not every 15
log.cleaner.backoff.ms=1000
SETTINGS
[ -z "$settings" ] || cat "$settings" >>"$data/server.properties"

small=(-Xms64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.level=WARN -cp "$jars/*")
if [ ! -s "$data/log/meta.properties" ]; then
  if [ ! -s "$data/cluster-id" ]; then
    head -c 16 /dev/urandom | base64 | tr '+/' '-_' | sed 's/^-/a/; s/=*$//' >"$data/cluster-id"
  fi
  java -Xmx128m "${small[@]}" kafka.tools.StorageTool format --ignore-formatted --cluster-id "$(cat "$data/cluster-id")" \
    --config "$data/server.properties" "${scram[@]}" >"$data/format.log" 2>&1 || { cat "$data/format.log" >&2; fail "formatting $data failed"; }
fi
exec java -Xmx384m "${small[@]}" kafka.Kafka "$data/server.properties"
