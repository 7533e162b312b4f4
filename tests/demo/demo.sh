#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Starts a small leaking web service and lets pyleak-bpf say, from outside, which line leaks. PYLEAK names the tool.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
pyleak=${PYLEAK:-$here/../../build/pyleak-bpf}
python=${PYTHON:-/usr/bin/python3}

if [ "$(id -u)" != 0 ]; then
	echo "demo: tracing needs root; try: sudo make demo" >&2
	exit 3
fi

output=$(mktemp)
service=
clean_up() {
	if [ -n "$service" ]; then
		kill "$service" 2>/dev/null || true
		wait "$service" 2>/dev/null || true
	fi
	rm -f "$output"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$python" -B "$here/service.py" >"$output" &
service=$!
tries=0
until grep -q '^pid ' "$output"; do
	tries=$((tries + 1))
	if [ "$tries" -gt 100 ] || ! kill -0 "$service" 2>/dev/null; then
		echo "demo: the service did not start" >&2
		exit 1
	fi
	sleep 0.1
done

cat <<TEXT
A small web shop runs with $("$python" -V 2>&1):
  $(cat "$output")
It serves pages, JSON and sessions, keeps a bounded cache, and answers some 160 requests a second. Somewhere it
keeps what it should drop. It was started as always, nothing is imported into it, and it is not stopped. Now, from outside:

  pyleak-bpf -p $service -i 2 -d 16 -n 3

TEXT

status=0
"$pyleak" -p "$service" -i 2 -d 16 -n 3 || status=$?

cat <<TEXT

What to look for: the rows called "growing" that have a line are made by AuditLog.record(), called from checkout():
its entries stay in AUDIT.pending for ever. The page cache and the sessions come and go and level out.
TEXT
if ! kill -0 "$service" 2>/dev/null; then
	echo "demo: the service is gone" >&2
	exit 1
fi
exit "$status"
