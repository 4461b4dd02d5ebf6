#!/bin/bash
# Both sides of a perftest program in the guest, over one RDMA device or from one to another.
set -eu
if [ "$#" -lt 2 ]; then
  echo "usage: lab-perftest PROGRAM DEVICE[:PEER] [OPTION …]     such as: lab-perftest ib_read_bw rxe0 -s 65536 -n 1000" >&2
  exit 2
fi
program=$1 near=${2%%:*} far=${2##*:}
shift 2
# The first GID that carries an IPv4 address: the one before it is link-local.
address=$(ip -4 -o addr show dev "$(cat "/sys/class/infiniband/$far/ports/1/gid_attrs/ndevs/0")" | awk '{ split($4, a, "/"); print a[1]; exit }')
log=$(mktemp)
"$program" -d "$far" -x 1 -F "$@" >"$log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -f "$log"' EXIT
for _ in $(seq 200); do
  ss -ltn 2>/dev/null | grep -q ':18515 ' && break
  kill -0 "$server" 2>/dev/null || { cat "$log" >&2; exit 1; }
  sleep 0.05
done
"$program" -d "$near" -x 1 -F "$@" "$address"
wait "$server"
