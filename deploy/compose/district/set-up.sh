#!/bin/sh
# Runs once before the district's processes: the topics, and the inventory of the communities that are simulated.
set -eu
linli topics create
linli simulate --seed 1 --days 1 --sites 2 --out /tmp/community.jsonl
linli inventory load /tmp/community.jsonl
rm /tmp/community.jsonl
