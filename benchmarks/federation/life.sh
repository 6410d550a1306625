#!/usr/bin/env bash
# The life of a deployment on this machine, over the engine, TLS and keys: three nodes train with secure
# sums under a guarantee; every process is killed in the middle of a round; they publish; certificate and
# key are rotated; a node is replaced; a second week comes; they train on, lose an agent, and publish;
# each node recommends. No budget and no pad is used twice.
#
#   benchmarks/federation/life.sh FOLDER [BIN] [EXPERIMENT]
set -euo pipefail
folder=$1 bin=${2:-.venv/bin} here=$(dirname "$0")
experiment=${3:-$here/life.toml}
agent() { "$bin/ufgraphfr" agent --shard "$folder/nodes/$1/shard" "${@:2}"; }
deploy() { "$bin/ufgraphfr" deploy "$1" "$folder" "${@:2}"; }
pids() { deploy status | sed -nE "s/^($1).*runs, ([0-9]+)\$/\2/p"; }
# looks at the counters themselves: a command takes seconds, in which a run may end
in_a_round() { until grep -q '"rounds": [1-9]' "$folder/server/metrics.json"; do sleep 0.1; done; }
up_unless_finished() { deploy status | grep -q '^finished' || deploy up --loopback; }
trap 'deploy down || true' EXIT
export OMP_NUM_THREADS=1

deploy init --try-out --nodes 3 --experiment "$experiment" --lifetime-epsilon 24 --port 18443 \
  --node-port 19094
deploy up --loopback
all=$(pids 'superlink|agent|supernode')
in_a_round

# kill -9 every process, with what it started, in the middle of a round: the run goes on where it was
for pid in $all; do kill -9 -- "-$pid"; done
sleep 1
up_unless_finished
deploy watch

# the server's certificate and a node's key; a node leaves and another one takes its place
deploy down
deploy renew
agent node-1 init --new-key
mkdir -p "$folder/keys"
agent node-4 pad-key | tail -n 1 > "$folder/keys/node-4.pad"
deploy amend --key node-1 --leave node-3 --join node-4:400 --pad-keys "$folder/keys" |
  tee "$folder/amended.txt"
digest=$(sed -n 's/^amendment 1, //p' "$folder/amended.txt")
for node in node-1 node-2 node-4; do agent "$node" agree "$digest"; done
agent node-4 import "$folder/nodes/node-3/import/interactions.parquet" \
  --users "$folder/nodes/node-3/import/users.parquet"

# a second week, and a run that goes on from the release; an agent is killed in it
"$bin/python" - "$folder/server/catalogue.json" > "$folder/week2.csv" <<'PYTHON'
import json, sys
print("user,item,timestamp")
for place, item in enumerate(json.load(open(sys.argv[1]))["items"][:3]):
    print(f"late,{item},{900_000_000 + place}")
PYTHON
agent node-4 import "$folder/week2.csv"
deploy backup "$folder/server.tar.gz"
deploy up --loopback --continue
doomed=$(pids 'agent-node-2')
in_a_round
kill -9 -- "-$doomed"
sleep 1
up_unless_finished
deploy watch
for node in node-1 node-2 node-4; do
  agent "$node" status
  agent "$node" recommend --users all --out "$folder/$node.parquet" -n 10
done
"$bin/python" "$here/once.py" "$folder"
deploy doctor
