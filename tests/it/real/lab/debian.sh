#!/bin/sh
# Fetches what a machine without a network can install from Debian: debian.sh ROOT FOLDER
#
# FOLDER gets these packages and what they need beyond ROOT. Its name is a digest of this file, as that of the
# root is of its own. Only apt is needed, and how this host gets to Debian.
set -eu
root=$1
folder=$2
suite=bookworm
packages='nginx haproxy python3'

mkdir -p "$folder/state/lists/partial" "$folder/cache/archives/partial" "$folder/etc"
# This host's own sources for the suite, else Debian's.
apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
  awk -v suite="$suite" '
    ($2 == suite || $2 == suite "-updates" || $2 == suite "-security") && $3 == "main" && ($4 == "Debian" || NF == 3 || $4 ~ /^\$/) {
      line = "deb " $1 " " $2 " " $3
      if (!seen[line]++) print line
    }' >"$folder/etc/sources.list"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
if [ -f "$keyring" ]; then sed -i "s|^deb |deb [signed-by=$keyring] |" "$folder/etc/sources.list"; else keyring=; fi
[ -s "$folder/etc/sources.list" ] ||
  echo "deb ${keyring:+[signed-by=$keyring] }http://deb.debian.org/debian $suite main" >"$folder/etc/sources.list"
cp "$root/var/lib/dpkg/status" "$folder/state/status"

apt() {
  apt-get -qq -y -o "Dir::State=$folder/state" -o "Dir::State::status=$folder/state/status" \
    -o "Dir::Cache=$folder/cache" -o "Dir::Etc::sourcelist=$folder/etc/sources.list" \
    -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferences=/dev/null \
    -o Dir::Etc::preferencesparts=/dev/null \
    -o APT::Sandbox::User=root -o APT::Install-Recommends=false "$@"
}
apt update
# shellcheck disable=SC2086 # these are words
apt --download-only -o Debug::NoLocking=true install $packages
mv "$folder"/cache/archives/*.deb "$folder"
rm -rf "$folder/state" "$folder/cache" "$folder/etc"
