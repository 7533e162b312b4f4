#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Other builds of Python than this machine's: those of other Debian releases, run in roots of their own as containers are.
#
# PYLEAK_SUITES   which releases (default: bullseye trixie sid: Python 3.9, 3.13 and what is newest)
# PYLEAK_CACHE    where their roots are kept (default: $XDG_CACHE_HOME/pyleak-bpf/roots or ~/.cache/...); one is some 250 MB, and
#                 is made anew when it was deleted
#                 a free-threaded build of Python is made there, too, from Debian's source: some minutes, once
# PYLEAK_MIRROR   a Debian mirror (default: the one in this machine's own apt sources)
# PYLEAK_SAMPLE   how many leaking and how many healthy programs on each (default: all)
#
# "--if-reachable": where no root is there and none can be made, one line says so and the status is 0. Other arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

suites=${PYLEAK_SUITES:-bullseye trixie sid}
cache=${PYLEAK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pyleak-bpf/roots}
reachable_only=
if [ "${1:-}" = --if-reachable ]; then
	reachable_only=yes
	shift
fi

give_up() { # why
	if [ -n "$reachable_only" ]; then
		echo "other interpreters: not checked: $1"
		exit 0
	fi
	echo "other interpreters: $1" >&2
	exit 1
}

mirror() {
	if [ -n "${PYLEAK_MIRROR:-}" ]; then
		echo "$PYLEAK_MIRROR"
	elif command -v apt-get >/dev/null; then
		# apt's own view of its sources, whatever files they are in; security updates have a label of their own
		# shellcheck disable=SC2016
		apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null | sed -n 1p
	fi
}

# Answers within seconds, or not at all.
has_suite() { # mirror, suite
	local scratch status=0
	scratch=$(mktemp)
	timeout 20 /usr/lib/apt/apt-helper -o Acquire::http::Timeout=8 -o Acquire::https::Timeout=8 -o Acquire::Retries=0 \
		download-file "${1%/}/dists/$2/Release" "$scratch" >/dev/null 2>&1 || status=1
	rm -f "$scratch"
	return $status
}

make_root() { # mirror, suite
	local log status=0
	command -v debootstrap >/dev/null || tests/install-deps.sh debootstrap || return 1
	log=$(mktemp)
	echo "making $cache/$2"
	rm -rf "${cache:?}/$2.part"
	mkdir -p "$cache"
	timeout 900 debootstrap --variant=minbase --include=python3 "$2" "$cache/$2.part" "$1" >"$log" 2>&1 || status=1
	if [ $status -eq 0 ]; then
		rm -rf "$cache/$2.part"/var/cache/apt/archives/*.deb "$cache/$2.part"/var/lib/apt/lists/*_*
		mv "$cache/$2.part" "$cache/$2"
	else
		tail -5 "$log" >&2
		rm -rf "${cache:?}/$2.part"
	fi
	rm -f "$log"
	return $status
}

# Debian has no package of a free-threaded Python: one is built from its source, that of the version in a root.
free_threaded=$cache/free-threaded-3.13
make_free_threaded() { # mirror, root
	local version scratch status=0
	version=$(awk '/^Package: python3.13$/ { found = 1 } found && /^Version:/ { sub(/-.*/, "", $2); print $2; exit }' "$2/var/lib/dpkg/status")
	[ -n "$version" ] || return 1
	scratch=$(mktemp -d)
	echo "building $free_threaded, a free-threaded Python $version"
	(
		cd "$scratch" &&
			timeout 120 /usr/lib/apt/apt-helper download-file "${1%/}/pool/main/p/python3.13/python3.13_$version.orig.tar.xz" \
				"$scratch/source.tar.xz" &&
			tar xf source.tar.xz --strip-components=1 &&
			timeout 300 ./configure --disable-gil OPT=-O1 &&
			timeout 1500 make -j"$(nproc)" all &&
			mkdir "$scratch/kept" &&
			cp -rL python pybuilddir.txt Lib build "$scratch/kept"
	) >"$scratch.log" 2>&1 || status=1
	if [ $status -eq 0 ]; then
		mv "$scratch/kept" "$free_threaded"
	else
		tail -5 "$scratch.log" >&2
	fi
	rm -rf "$scratch" "$scratch.log"
	return $status
}

[ "$(id -u)" -eq 0 ] || give_up "needs root"
unshare --mount --pid --fork true 2>/dev/null || give_up "no namespaces can be made here"
from=$(mirror)
roots=
for suite in $suites; do
	if [ ! -d "$cache/$suite" ]; then
		[ -n "$from" ] || give_up "no Debian mirror is known: set PYLEAK_MIRROR"
		has_suite "$from" "$suite" || give_up "$suite cannot be had from this machine's mirror"
		make_root "$from" "$suite" || give_up "debootstrap of $suite failed"
	fi
	roots=$roots${roots:+:}$cache/$suite
done

if [ ! -x "$free_threaded/python" ] && [ -d "$cache/trixie" ] && [ -n "$from" ]; then
	make_free_threaded "$from" "$cache/trixie" || echo "no free-threaded Python could be built: its refusal is not tried"
fi
if [ -x "$free_threaded/python" ]; then
	export PYLEAK_FREE_THREADED=$free_threaded/python
fi

echo "== interpreters of $suites"
PYLEAK_ROOTS=$roots exec tests/e2e/run.sh tests/e2e/test_roots.py tests/e2e/test_coverage.py tests/e2e/test_corpus.py tests/e2e/test_census.py \
	tests/e2e/test_refs.py "$@"
