#!/bin/sh
# Keeps a guest: starts its process, and ends all that it started when the runner says so or is no more.
#
#   keeper.sh PROGRAM [ARGUMENT …]     standard input ends when the guest shall
ulimit -c 0
exec 9<&0
# A session of its own, so that one signal reaches all of its processes, and ^C at a terminal none of them.
setsid "$@" </dev/null 9<&- &
guest=$!
{
  read -r _ <&9
  # Told to end, a user-mode kernel kills what it traces; a process that is traced cannot be trusted alone.
  kill -TERM "$guest"
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    kill -0 "$guest" || break
    sleep 0.1
  done
  kill -KILL -- "-$guest"
} >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- &
watcher=$!
exec 3>&- 4>&- 5>&- 6>&-
wait "$guest"
code=$?
kill -KILL -- "-$guest" 2>/dev/null
kill -KILL "$watcher" 2>/dev/null
exit "$code"
