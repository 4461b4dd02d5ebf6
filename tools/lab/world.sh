# Builds the guest's root and moves into it. Sourced by the first process of either machine, which defines how: `attach`
# and `enter`. It has mounted the run's own folder at /mnt/run.
new=/mnt/new
memory=/mnt/memory
mkdir -p "$new" "$memory"
# Files of the guest live in its memory: they may take most of it, as shared memory may.
mount -t tmpfs -o mode=755,size=80% tmpfs "$new"
mount -t tmpfs -o mode=755,size=80% tmpfs "$memory"
cp -a /mnt/run/root/. "$new/"
# Its files are the guest's own, whoever runs the lab.
chown -hR 0:0 "$new"
chmod 1777 "$new/tmp" "$new/var/tmp"
chmod 700 "$new/root"

number=0
while IFS='	' read -r kind path; do
  mkdir -p "$new$path"
  case $kind in
  folder) attach "$number" "$path" "$new$path" ;;
  layer)
    mkdir -p "$memory/$number/lower" "$memory/$number/upper" "$memory/$number/work"
    attach "$number" "$path" "$memory/$number/lower"
    mount -t overlay -o "lowerdir=$memory/$number/lower,upperdir=$memory/$number/upper,workdir=$memory/$number/work" \
      overlay "$new$path"
    ;;
  hide) mount -t tmpfs -o ro,mode=755,size=4k tmpfs "$new$path" ;;
  esac || echo "lab: cannot show $path" >&2
  number=$((number + 1))
done </mnt/run/view

mount -t proc proc "$new/proc"
mount -t sysfs sys "$new/sys"
mount -t devtmpfs dev "$new/dev"
mkdir -p "$new/dev/shm" "$new/dev/pts"
mount -t tmpfs -o mode=1777,size=80% tmpfs "$new/dev/shm"
mount -t devpts devpts "$new/dev/pts"
for link in fd:fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do
  [ -e "$new/dev/${link%%:*}" ] || ln -s "/proc/self/${link##*:}" "$new/dev/${link%%:*}"
done
mkdir -p "$new/run/lab"
cp -a /mnt/run/guest/. "$new/run/lab/"

enter
