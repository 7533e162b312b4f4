#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The end-to-end tests. Arguments go to pytest. The last line is "N passed, N failed, N skipped";
# $PYLEAK_COUNTS, when set, names a file that gets the same as "passed=N failed=N skipped=N".
set -eu
here=$(cd "$(dirname "$0")" && pwd)

# most cases wait for a program to leak, so there may be more of them than processors
workers=${PYLEAK_WORKERS:-3}
parallel=
if /usr/bin/python3 -c 'import xdist' 2>/dev/null; then
	parallel="-n $workers --dist loadgroup"
fi
# without a path among the arguments: all
what=$here
for argument in "$@"; do
	if [ -e "${argument%%::*}" ]; then
		what=
	fi
done
export PYTHONDONTWRITEBYTECODE=1
# shellcheck disable=SC2086
exec /usr/bin/python3 -m pytest -p no:cacheprovider -q --tb=short $parallel "$@" $what
