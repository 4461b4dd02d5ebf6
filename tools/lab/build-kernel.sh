#!/bin/sh
# Builds a Linux kernel that is an ordinary program (ARCH=um) with RDMA in software, from Debian's kernel source.
#
#   build-kernel.sh FOLDER      leaves FOLDER/linux.uml, and FOLDER/kernel.config as it was configured
#
# KVFERRY_LAB_SOURCE=FILE takes a linux-6.1*.tar.xz of one's own in place of Debian's package.
# It works in FOLDER/work.PID, about 1 GiB, which is removed whatever happens. One line on standard output a stage.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?the folder where the kernel goes}
work=$folder/work.$$
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# Left out: sources that no option here compiles. Their Kconfig files have to stay, of every architecture too.
unpack() {
  tar -xJ -C "$work" --strip-components=1 --wildcards \
    --exclude='*/Documentation/*.rst' --exclude='*/tools/testing/*' --exclude='*/sound/*.c' \
    --exclude='*/drivers/gpu/*.[ch]' --exclude='*/drivers/media/*.[ch]' --exclude='*/drivers/staging/*.[ch]' \
    --exclude='*/drivers/net/ethernet/*.[ch]' --exclude='*/drivers/net/wireless/*.[ch]' \
    --exclude='*/arch/[a-tv-wyz]*/*.[chS]' --exclude='*.dts' --exclude='*.dtsi'
}

refuse() {
  echo "this kernel source does not take $1: use linux 6.1" >&2
  exit 1
}

if [ -n "${KVFERRY_LAB_SOURCE:-}" ]; then
  echo "unpacking $KVFERRY_LAB_SOURCE"
  unpack <"$KVFERRY_LAB_SOURCE"
else
  echo "fetching linux-source-6.1"
  # As root, apt fetches as a user of its own, who may not write here; that is only a notice.
  (cd "$work" && apt-get download -q linux-source-6.1 >&2)
  echo "unpacking linux-source-6.1"
  dpkg --fsys-tarfile "$work"/linux-source-6.1_*.deb | tar -xO --wildcards '*/linux-source-6.1.tar.xz' | unpack
  rm -f "$work"/linux-source-6.1_*.deb
fi

echo "configuring"
# A time slice is at least a tick, and the guest has one CPU: two processes that both poll wait for each other's ticks.
# At the architecture's 100 Hz that is 10 ms a turn.
sed -i '/^config HZ$/,/^$/ s/default 100/default 1000/' "$work/arch/um/Kconfig"
# The host takes a process's extended registers whole or not at all, and 2696 bytes of room end before AMX: 11008.
sed -i 's/DEFINE_LONGS(HOST_FP_SIZE, 2696)/DEFINE_LONGS(HOST_FP_SIZE, 12288)/' "$work/arch/x86/um/user-offsets.c"
make -s -C "$work" ARCH=um KCONFIG_ALLCONFIG="$here/kernel.config" allnoconfig >&2
for wanted in CONFIG_INFINIBAND_USER_ACCESS=y CONFIG_RDMA_RXE=y CONFIG_NET_SCH_NETEM=y CONFIG_HZ=1000; do
  grep -qx "$wanted" "$work/.config" || refuse "$wanted"
done
grep -q 'HOST_FP_SIZE, 12288' "$work/arch/x86/um/user-offsets.c" || refuse "room for extended registers"

echo "compiling"
make -s -C "$work" ARCH=um -j"$(nproc)" linux >&2

# The name appears last and at once: who sees it sees a whole kernel.
cp "$work/.config" "$folder/kernel.config"
strip -o "$work/stripped" "$work/linux"
mv "$work/stripped" "$folder/linux.uml"
echo "done"
