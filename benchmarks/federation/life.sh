#!/usr/bin/env bash
# The life of a deployment on this machine, over the engine, TLS and keys: three nodes train under a
# guarantee and publish; every process is killed once; certificate and key are rotated; a node is
# replaced; a second week comes; they train on and publish; each node recommends. Nothing is paid
# for twice.
#
#   benchmarks/federation/life.sh FOLDER [BIN]
set -euo pipefail
folder=$1 ufgraphfr=${2:-.venv/bin}/ufgraphfr here=$(dirname "$0")
agent() { "$ufgraphfr" agent --shard "$folder/nodes/$1/shard" "${@:2}"; }
deploy() { "$ufgraphfr" deploy "$1" "$folder" "${@:2}"; }
trap 'deploy down || true' EXIT
export OMP_NUM_THREADS=1

deploy init --try-out --nodes 3 --experiment "$here/life.toml" --lifetime-epsilon 24 --port 18443 \
  --node-port 19094
deploy up --loopback
until deploy status | grep -q 'round [1-9]/4'; do sleep 0.2; done
deploy pause || true                         # unless it has just ended

# kill -9 every process, with what it started: the run goes on where it was
for pid in $(deploy status | sed -nE 's/^(superlink|agent|supernode).*runs, ([0-9]+)$/\2/p'); do
  kill -9 -- "-$pid"
done
sleep 1
test -f "$folder/server/run/result.json" || deploy up --loopback
deploy watch

# the server's certificate and a node's key; a node leaves and another one comes
deploy down
deploy renew
agent node-1 init --new-key
deploy amend --key node-1 --leave node-3 --join node-4:40 | tee "$folder/amended.txt"
digest=$(sed -n 's/^amendment 1, //p' "$folder/amended.txt")
for node in node-1 node-2 node-4; do agent "$node" agree "$digest"; done
agent node-4 import "$folder/nodes/node-3/import/interactions.parquet" \
  --users "$folder/nodes/node-3/import/users.parquet"

# a second week, and a run that goes on from the release
printf 'user,item,timestamp\n%s\n%s\n%s\n' late,i1,900 late,i2,901 late,i3,902 > "$folder/week2.csv"
agent node-4 import "$folder/week2.csv"
deploy backup "$folder/server.tar.gz"
deploy up --loopback --continue
deploy watch
for node in node-1 node-2 node-4; do
  agent "$node" status
  user=$(agent "$node" recommend --users all --out "$folder/$node.parquet" -n 10)
  echo "$user"
  # in each run a round is paid for once
  paid=$(grep -oE '"(begins|round)": "?[^,}"]+' "$folder/nodes/$node/shard/ledger.jsonl" |
    awk '/begins/ {run = $2; next} {print run, $2}' | sort | uniq -d)
  test -z "$paid" || { echo "$node paid twice: $paid" >&2; exit 1; }
done
deploy doctor
