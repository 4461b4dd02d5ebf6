#!/bin/bash
# Both sides of a perftest program in the guest, over one RDMA device or from one to another.
set -eu
if [ "$#" -lt 2 ]; then
  cat >&2 <<'TEXT'
usage: lab-perftest PROGRAM DEVICE[:PEER] [OPTION …]      in the guest
       lab-perftest ib_read_bw rxe0 -s 65536 -n 1000
       lab-perftest ib_write_bw rxw0:rxw1                 over a wire
TEXT
  exit 2
fi
program=$1 near=${2%%:*} far=${2##*:}
shift 2
command -v "$program" >/dev/null || {
  echo "lab-perftest: there is no $program: apt-get install perftest" >&2
  exit 127
}
interface=$(cat "/sys/class/infiniband/$far/ports/1/gid_attrs/ndevs/0")
address=$(ip -4 -o addr show dev "$interface" | awk '{ split($4, part, "/"); print part[1]; exit }')
log=$(mktemp)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -f "$log"*' EXIT

# Prints the client's report. GID 1 is the one that carries the IPv4 address; the one before it is link-local.
once() {
  "$program" -d "$far" -x 1 -F "$@" >"$log.server" 2>&1 &
  server=$!
  local tries
  for ((tries = 0; tries < 400; tries++)); do
    ss -Hltn 'sport = :18515' | grep -q . && break
    kill -0 "$server" 2>/dev/null || {
      cat "$log.server" >&2
      return 1
    }
    sleep 0.02
  done
  "$program" -d "$near" -x 1 -F "$@" "$address" >"$log" 2>&1 || {
    cat "$log" >&2
    return 1
  }
  wait "$server"
  server=
}

# It counts cycles and measures their length first. On a busy machine that fails, and it divides by zero.
for _ in 1 2 3 4 5; do
  once "$@"
  grep -qw -e inf -e nan "$log" || {
    cat "$log"
    exit 0
  }
done
cat "$log"
echo "lab-perftest: $program could not measure the processor's clock in five tries; is this machine very busy?" >&2
exit 1
