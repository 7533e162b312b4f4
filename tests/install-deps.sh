#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Installs what building and testing need and this machine lacks (Debian, Ubuntu); names it elsewhere. Arguments: more packages.
set -euo pipefail

packages=(gcc libc6-dev make pkg-config clang libclang-rt-dev llvm bpftool libbpf-dev libelf-dev zlib1g-dev libcapstone-dev
	libcap-dev libcmocka-dev python3 python3-pytest python3-pytest-xdist util-linux mount
	libpython3.11-dev python3.11-dbg libexpat1-dev uwsgi-core uwsgi-plugin-python3 pypy3
	gdb graphviz python3-objgraph gunicorn python3-flask python3-celery python3-redis redis-server "$@")

missing=()
for p in "${packages[@]}"; do
	status=$(dpkg-query -W -f '${Status}' "$p" 2>/dev/null || true)
	[[ $status == "install ok installed" ]] || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
	echo "not a Debian-like system: please install what corresponds to: ${packages[*]}" >&2
	exit 1
fi
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
echo "installing: ${missing[*]}"
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
if ! { $sudo apt-get update && $sudo apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
	cat "$log" >&2
	rm -f "$log"
	echo "could not install: ${missing[*]}" >&2
	exit 1
fi
rm -f "$log"
