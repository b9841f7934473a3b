#!/bin/sh
# Runs once before the others: a simulated community in the inventory, a film for the box to watch, the box's token.
set -eu
linli simulate --seed 1 --days 1 --sites 1 --out data/community.jsonl --truth data/truth.jsonl
linli inventory load data/community.jsonl
linli inventory load /etc/linli/inventory.toml
[ -e box/facade.mp4 ] || python -m simulator.scenes facade --seed 1 --seconds 60 --out box/facade.mp4
[ -e box/box.token ] || linli edge token --box box-street --site site-01 --out box/box.token --register data
