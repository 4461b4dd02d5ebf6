#!/bin/bash
# A cable in the guest: a veth pair with an RDMA device on each end, so that packets really cross a link.
set -eu

usage() {
  cat <<'TEXT'
usage: lab-wire COMMAND …      in the guest; its wires are numbered from 0

  lab-wire add WIRE            makes the wire: interfaces wA and wB with A = 2 x WIRE, B = A + 1; RDMA devices rxwA, rxwB
  lab-wire netem END WORDS …   how packets leave an interface, in the words of tc-netem(8): loss 5%, delay 2ms, …
  lab-wire clear END           they leave unharmed again
  lab-wire down END            the interface goes down, and with it both ends of its wire; a rail0 is an END as well
  lab-wire up END              and up again
  lab-wire renew DEVICE        makes an RDMA device anew, which nobody may have open
  lab-wire show                the RDMA devices, and how often each sent again
TEXT
}

set_up_policy() {
  # The kernel delivers between its own addresses without a link: the rule that says so moves behind those of the wires.
  ip rule show pref 20 | grep -q . && return 0
  ip rule add pref 20 lookup local
  ip rule del pref 0
  echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter
}

add() {
  local wire=$1 a=$(($1 * 2)) b=$(($1 * 2 + 1)) near=10.88.$1.1 far=10.88.$1.2 end
  ip link add "w$a" type veth peer name "w$b"
  for end in "w$a" "w$b"; do
    ip link set "$end" mtu 4200 up
    echo 1 >"/proc/sys/net/ipv4/conf/$end/accept_local"
    echo 0 >"/proc/sys/net/ipv4/conf/$end/rp_filter"
  done
  ip addr add "$near/32" dev "w$a"
  ip addr add "$far/32" dev "w$b"
  set_up_policy
  # Own packets from one end to the other take the wire; the same packets, coming in, are delivered.
  ip rule add pref 10 iif lo from "$near" to "$far" lookup "$((100 + a))"
  ip rule add pref 10 iif lo from "$far" to "$near" lookup "$((100 + b))"
  # The connection manager asks, of no packet, whether its answer would leave by the end that the request came to.
  ip rule add pref 10 oif "w$a" from "$near" to "$far" lookup "$((100 + a))"
  ip rule add pref 10 oif "w$b" from "$far" to "$near" lookup "$((100 + b))"
  routes "$wire"
  rdma link add "rxw$a" type rxe netdev "w$a"
  rdma link add "rxw$b" type rxe netdev "w$b"
}

# An interface that goes down loses its routes.
routes() {
  local a=$(($1 * 2)) b=$(($1 * 2 + 1)) near=10.88.$1.1 far=10.88.$1.2
  ip route replace "$far" dev "w$a" src "$near" table "$((100 + a))"
  ip route replace "$near" dev "w$b" src "$far" table "$((100 + b))"
  ip neigh replace "$far" lladdr "$(cat "/sys/class/net/w$b/address")" dev "w$a" nud permanent
  ip neigh replace "$near" lladdr "$(cat "/sys/class/net/w$a/address")" dev "w$b" nud permanent
}

renew() {
  local device=$1 interface
  interface=$(cat "/sys/class/infiniband/$device/ports/1/gid_attrs/ndevs/0")
  rdma link del "$device"
  rdma link add "$device" type rxe netdev "$interface"
}

show() {
  rdma link show
  local device
  for device in /sys/class/infiniband/*; do
    echo "${device##*/}: $(cat "$device/ports/1/hw_counters/completer_retry_err") sent again"
  done
}

case ${1:-} in
add) add "$2" ;;
netem) end=$2 && shift 2 && tc qdisc replace dev "$end" root netem "$@" ;;
clear) tc qdisc del dev "$2" root 2>/dev/null || true ;;
down) ip link set "$2" down ;;
up)
  ip link set "$2" up
  case $2 in w[0-9]*) routes "$((${2#w} / 2))" ;; esac
  ;;
renew) renew "$2" ;;
show) show ;;
*)
  usage >&2
  exit 2
  ;;
esac
