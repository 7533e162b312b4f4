#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# fuzz.sh DIR [TARGET...]          each fuzzer in DIR for FUZZ_SECONDS (60), FUZZ_JOBS at a time; what it learns stays in DIR/corpus
# fuzz.sh DIR --smoke [TARGET...]  what is in tests/fuzz/corpus, then a fixed number of inputs from a fixed seed: some seconds in all
# What it finds goes to DIR/found; "DIR/fuzz_TARGET FILE" runs it again. Prints a line for each target; fails if one has found something.
set -uo pipefail

dir=$1
shift
smoke=
[ "${1:-}" = --smoke ] && smoke=1 && shift
here=$(dirname "$0")
jobs=${FUZZ_JOBS:-$((($(nproc) + 1) / 2))}
[ -z "$smoke" ] || jobs=$(nproc)
mkdir -p "$dir/found"

# Whole readings of a process are thousands of times as long as a line of text.
runs_of() {
	case $1 in
	process) echo 250 ;;
	pool) echo 4000 ;;
	*) echo 20000 ;;
	esac
}

fuzz_one() {
	local target=$1 seeds=$here/corpus/$1 learnt=$dir/corpus/$1 log=$dir/$1.log
	local args=(-timeout=5 -rss_limit_mb=2048 -malloc_limit_mb=512 -len_control=0 -max_len=4096 -print_final_stats=1
		"-artifact_prefix=$dir/found/$target-")

	if [ -n "$smoke" ]; then
		learnt=$(mktemp -d)
		args+=("-runs=$(runs_of "$target")" -seed=1)
	else
		mkdir -p "$learnt"
		args+=("-max_total_time=${FUZZ_SECONDS:-60}")
	fi
	"$dir/fuzz_$target" "${args[@]}" "$learnt" "$seeds" >"$log" 2>&1
	local status=$?
	[ -z "$smoke" ] || rm -rf "$learnt"
	if [ $status -eq 0 ]; then
		echo "fuzz $target: $(sed -n 's/^stat::number_of_executed_units: //p' "$log") inputs, nothing found"
	else
		grep -A 20 -m 1 'ERROR:\|runtime error:' "$log"
		echo "fuzz $target: FAILED, see $log"
		touch "$dir/failed"
	fi
}

[ $# -gt 0 ] || set -- $(cd "$dir" && ls fuzz_* | sed -n 's/^fuzz_\([a-z]*\)$/\1/p')
rm -f "$dir/failed"
for target; do
	while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
		wait -n
	done
	fuzz_one "$target" &
done
wait
[ ! -e "$dir/failed" ]
