#!/bin/sh
# run_live.sh LIVE_TRUTH [PYTHON...]: runs the built live_truth, and live_spoilt, live_early, live_heap and live_sample beside it, against every interpreter
# found here, or those that are named.
here=$(cd "$(dirname "$0")" && pwd)
live_truth=$1
live_early=$(dirname "$1")/live_early
live_spoilt=$(dirname "$1")/live_spoilt
live_heap=$(dirname "$1")/live_heap
live_sample=$(dirname "$1")/live_sample
shift
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
status=0
found=0

check() { # python truth-program
	found=$((found + 1))
	rm -f "$tmp/in" "$tmp/out" "$tmp/truth"
	mkfifo "$tmp/in" "$tmp/out"
	"$1" -W ignore "$here/$2" "$tmp/truth" <"$tmp/in" >"$tmp/out" &
	pid=$!
	exec 3>"$tmp/in" 4<"$tmp/out"
	if read -r line <&4 && [ "$line" = ready ]; then
		"$live_truth" "$pid" "$tmp/truth" || status=1
		[ ! -x "$live_spoilt" ] || "$live_spoilt" "$pid" "$tmp/truth" || status=1
	else
		echo "$1: the target failed"
		status=1
	fi
	exec 3>&- 4<&-
	wait "$pid"
	[ ! -x "$live_early" ] || "$live_early" "$1" || status=1
	# with each size of pools
	case $("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])') in
	3.8 | 3.11) [ ! -x "$live_sample" ] || "$live_sample" "$1" "$here/../../e2e/programs/mass.py" || status=1 ;;
	esac
	[ ! -x "$live_heap" ] || "$live_heap" "$1" "$here/live_heap.py" || status=1
}

root=$(pyenv root 2>/dev/null || echo "${PYENV_ROOT:-$HOME/.pyenv}")
[ $# -gt 0 ] || set -- "$root"/versions/*/bin/python /usr/bin/python3
for python; do
	[ -x "$python" ] || continue
	case $("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') in
	2.7) check "$python" live_truth27.py ;;
	3.6 | 3.7 | 3.8 | 3.9 | 3.10 | 3.11 | 3.12 | 3.13 | 3.14) check "$python" live_truth.py ;;
	*) echo "SKIP: $python" ;;
	esac
done
[ "$found" -gt 0 ] || { echo "SKIP: no interpreter found"; exit 0; }
exit $status
