#!/bin/sh
# The first process of the QEMU guest, in its initial file system of busybox and modules. It builds a root and moves in.
/bin/busybox --install -s /bin
PATH=/bin
export PATH
mkdir -p /proc /sys /dev /mnt
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module" || echo "lab: module $module was refused"; done </modules/order

# Each channel is a port; its name tells which.
for port in /sys/class/virtio-ports/*; do ln -s "/dev/${port##*/}" "/dev/lab-$(cat "$port/name")"; done
mount -t tmpfs -o mode=755,size=1m tmpfs /mnt
mkdir /mnt/run

# share TAG TARGET: a folder of the host.
share() { mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 "$1" "$2"; }
attach() { share "view$1" "$3"; }
enter() { exec switch_root "$new" /bin/bash /run/lab/inside.sh; }
share run /mnt/run
. /mnt/run/world.sh
