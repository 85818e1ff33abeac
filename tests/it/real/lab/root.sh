#!/bin/sh
# Builds the root that every test machine starts from: root.sh ROOT
#
# The name of the cached root is a digest of this file, so whoever changes it gets a new root.
# Where the packages come from is the host's own affair: its sources for this suite, its proxies.
set -eu
root=$1
suite=bookworm
packages=systemd,systemd-sysv,dbus,cron,passwd,apt,procps,iproute2,ca-certificates,git,openssh-client

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Debian's own sources of this host, whichever of the two forms they are written in; where the host has
# none for this suite, mmdebstrap knows where Debian is.
apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
  awk -v suite="$suite" '
    ($2 == suite || $2 == suite "-updates" || $2 == suite "-security") && $3 == "main" && ($4 == "Debian" || NF == 3 || $4 ~ /^\$/) {
      line = "deb " $1 " " $2 " " $3
      if (!seen[line]++) print line
    }' >"$work/sources.list"
if grep -q " $suite " "$work/sources.list"; then sources=$work/sources.list; else sources=; fi

# How this host gets there.
apt-config dump | grep -E '^Acquire::(.*::)?(Proxy|CaInfo|Verify-Peer|Verify-Host)[ :]' >"$work/apt.conf" || :
if [ -f /usr/share/keyrings/debian-archive-keyring.gpg ]; then
  keyring=--keyring=/usr/share/keyrings/debian-archive-keyring.gpg
else
  keyring=
fi

# shellcheck disable=SC2086 # the empty ones are meant to vanish
mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" --aptopt="$work/apt.conf" $keyring \
  "$suite" "$root" $sources

# mmdebstrap brings some of this host along; a test machine is the same everywhere. It is no first boot
# either, on which systemd would enable and disable units by its presets.
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/resolv.conf"
echo node1.example.test >"$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 node1.example.test node1\n' >"$root/etc/hosts"
echo 5ead0fa5700000000000000000000001 >"$root/etc/machine-id"

# Nothing but the test does anything at a time of its own choosing.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
  e2scrub_reap.service systemd-tmpfiles-clean.timer; do
  rm -f "$root"/etc/systemd/system/*.wants/"$unit"
  ln -s /dev/null "$root/etc/systemd/system/$unit"
done
