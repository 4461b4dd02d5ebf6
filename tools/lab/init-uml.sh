#!/bin/sh
# The first process of the user-mode-linux guest. Its root is the host's, read-only; it builds a smaller one and moves in.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
mount -t proc proc /proc
for word in $(cat /proc/cmdline); do
  case $word in kvferry_lab=*) from=${word#kvferry_lab=} ;; esac
done
mount -t tmpfs -o mode=755,size=1m tmpfs /mnt
mkdir /mnt/run
mount -t hostfs -o ro,"$from" none /mnt/run

# attach NUMBER PATH TARGET: folder PATH of the host, read-only, at TARGET.
attach() { mount -t hostfs -o ro,"$2" none "$3"; }

# The old root goes: what was not shown cannot be reached by a path.
enter() {
  cd "$new" && mkdir .old && pivot_root . .old
  exec chroot . /bin/bash -c 'cd /; umount -l /.old && rmdir /.old; exec /bin/bash /run/lab/inside.sh'
}
. /mnt/run/world.sh
