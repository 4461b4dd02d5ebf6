#!/bin/bash
# The first process of the guest in its own root: brings up the rails, runs the command, tells how it ended.
#
# It talks to the runner in lines over a channel of its own: "ready SECONDS", "exit CODE SECONDS", "trouble WORDS".
PATH=/run/lab/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
. /run/lab/settings
exec 7>"$output" 8>"$errors" 9>"$reports"
if [ -t 7 ]; then
  for channel in "$output" "$errors" "$reports"; do stty -F "$channel" raw -echo; done
fi

uptime() { read -r seconds _ </proc/uptime && echo "$seconds"; }
finish() {
  echo "$1" >&9
  # The runner ends the guest when it has read this.
  while :; do sleep 1000; done
}

# perftest divides by the clock of the processor, and this architecture's list of processors names none.
if ! grep -q '^cpu MHz' /proc/cpuinfo; then
  sed "s/^bogomips.*/cpu MHz\t\t: $mhz\n&/" /proc/cpuinfo >/run/lab/cpuinfo
  mount --bind /run/lab/cpuinfo /proc/cpuinfo
fi
ulimit -l unlimited
ulimit -n 65536

set -e
trap 'finish "trouble the network of the guest did not come up: $BASH_COMMAND"' ERR
ip link set lo up
for ((rail = 0; rail < rails; rail++)); do
  # An MTU of 4200 lets the RDMA path MTU be 4096.
  ip link add "rail$rail" type dummy
  ip link set "rail$rail" mtu 4200
  ip addr add "10.77.$rail.1/24" dev "rail$rail"
  ip link set "rail$rail" up
  rdma link add "rxe$rail" type rxe netdev "rail$rail"
done
for ((wire = 0; wire < wires; wire++)); do lab-wire add "$wire"; done
trap - ERR
set +e

mapfile -d '' -t variables </run/lab/environment
mapfile -d '' -t command </run/lab/command
cd "$directory" || finish "trouble the folder $directory is not in the guest's view"
mkfifo -m 600 /run/lab/output /run/lab/errors
cat /run/lab/output >&7 &
readers=("$!")
cat /run/lab/errors >&8 &
readers+=("$!")
echo "ready $(uptime)" >&9

# Administrator of networks and devices, but not of mounts: the command keeps the view it was given.
setsid setpriv --bounding-set -sys_admin,-sys_chroot,-sys_module,-sys_rawio,-sys_boot,-mknod --inh-caps -all \
  env -i "${variables[@]}" "${command[@]}" </dev/null >/run/lab/output 2>/run/lab/errors 7>&- 8>&- 9>&- &
wait "$!"
code=$?

# What the command left running would hold its output open for ever.
for process in /proc/[0-9]*; do
  id=${process#/proc/}
  case " 1 ${readers[*]} " in *" $id "*) continue ;; esac
  # Threads of the kernel have no program.
  [ -e "$process/exe" ] && kill -KILL "$id" 2>/dev/null
done
wait "${readers[@]}"
# Changing a terminal's settings waits until what was written has left it.
if [ -t 7 ]; then
  stty sane <&7
  stty sane <&8
fi
finish "exit $code $(uptime)"
