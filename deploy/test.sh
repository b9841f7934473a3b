#!/usr/bin/env bash
# Runs the whole test suite. With CI=true, or as root, first installs deploy/test-packages.txt; there a missing part is a
# failure. Elsewhere nothing is installed outside the venv, and what could not run is listed as skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
PY="${PY:-.venv/bin/python}"

if [ "${CI:-}" = "true" ] || [ "$(id -u)" = "0" ]; then
  export CI=true
  missing=()
  while read -r package; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done < <(grep -vE '^\s*(#|$)' deploy/test-packages.txt)
  if [ "${#missing[@]}" -gt 0 ]; then
    echo "installing: ${missing[*]}" >&2
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  fi
fi

# Two parts: what only computes, and what waits for servers as long as it takes, runs on every core; what starts browsers
# and cameras or keeps time runs alone.
status=0
"$PY" -m pytest -m "not service or patient" -n auto --dist loadfile --durations=15 "$@" || status=$?
"$PY" -m pytest -m "service and not patient" --durations=15 "$@" || status=$?
exit "$status"
