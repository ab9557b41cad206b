# A systemd of its own, in namespaces of its own: nothing of the machine's is started or changed.
# Run by flow_systemd.rs below `unshare`, with LARDER, BOX (a folder) and CACHE.
set -e
mount --make-rprivate /
mount -t proc proc /proc
for folder in /run /srv /etc/systemd /usr/local/bin; do mount -t tmpfs tmpfs "$folder"; done
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup

# None of the machine's units but the journal's, and none that is generated.
mkdir -p /run/units /run/none /run/lock /run/systemd/system /etc/systemd/system
for unit in systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket \
    shutdown.target umount.target final.target sockets.target timers.target slices.target \
    network-online.target network.target multi-user.target; do
    cp "/lib/systemd/system/$unit" /run/units/
done
printf '[Unit]\nDescription=System\n' > /run/units/sysinit.target
printf '[Unit]\nDescription=Basic\nRequires=sysinit.target\nAfter=sysinit.target\n' \
    > /run/units/basic.target
printf '[Unit]\nDescription=Box\nDefaultDependencies=no\nWants=systemd-journald.service\n' \
    > /run/units/box.target

# A user of its own, as an administrator makes one for a service.
cp /etc/passwd /etc/group /run/
echo 'larder:x:64999:64999::/srv/larder:/bin/sh' >> /run/passwd
echo 'larder:x:64999:' >> /run/group
mount --bind /run/passwd /etc/passwd
mount --bind /run/group /etc/group
touch /usr/local/bin/larder
mount --bind "$LARDER" /usr/local/bin/larder

# What the head of the unit says to do.
mkdir -p /srv/larder/.config/larder /srv/larder/.local/state/larder /srv/cache/mod
cp -r "$CACHE" /srv/cache/build
cp "$BOX/config.toml" /srv/larder/.config/larder/
chown -R 64999:64999 /srv/larder /srv/cache
cd /srv
env -i PATH="$PATH" HOME=/srv/larder GOENV=off GOCACHE=/srv/cache/build \
    GOMODCACHE=/srv/cache/mod setpriv --reuid 64999 --regid 64999 --clear-groups \
    /usr/local/bin/larder export systemd /srv/larder/units
cp /srv/larder/units/system/larder* /etc/systemd/system/
mkdir /etc/systemd/system/larder.service.d
cp "$BOX/test.conf" /etc/systemd/system/larder.service.d/

mount --bind /run/units /lib/systemd/system
mount --bind /run/none /lib/systemd/system-generators
touch "$BOX/made"
exec env -i container=lxc PATH="$PATH" /lib/systemd/systemd --system --unit=box.target \
    --log-target=null --show-status=no
