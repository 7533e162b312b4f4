#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Builds all, runs all: units, fuzzers for a moment, layouts against headers, decoders against live interpreters, the tool end to end.
# Ends with "N passed, N failed, N skipped".
set -uo pipefail
cd "$(dirname "$0")/.."

passed=0 failed=0 skipped=0
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED: $*"; }

jobs=$(nproc)
make --no-print-directory -j"$jobs" all units || { echo "the build failed"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }

echo "== unit tests"
for test in build/tests/*/test_*; do
	[ -x "$test" ] || continue
	out=$("$test" 2>&1)
	status=$?
	n=$(grep -oP '^\[  PASSED  \] \K[0-9]+(?= test)' <<<"$out" | tail -1)
	f=$(grep -oP '^\[  FAILED  \] \K[0-9]+(?= test)' <<<"$out" | tail -1)
	passed=$((passed + ${n:-0}))
	if [ $status -ne 0 ] || [ -z "${n:-}" ]; then
		failed=$((failed + ${f:-1}))
		printf '%s\n' "$out" | grep -v '^\[ RUN\|^\[       OK' | tail -40
		echo "FAILED: $test"
	fi
done

echo "== fuzzers, a few seconds"
if make --no-print-directory -j"$jobs" fuzz-targets; then
	while read -r line; do
		case $line in
		*"nothing found") ok ;;
		"fuzz "*) bad "$line" ;;
		*) printf '%s\n' "$line" ;;
		esac
	done < <(tests/fuzz/fuzz.sh build/fuzz --smoke)
else
	bad "building the fuzzers"
fi

echo "== stack of the BPF programs"
if tests/unit/bpf/check_stack.py build/*.bpf.o; then ok; else bad "stack of the BPF programs"; fi

echo "== layouts against the headers of each interpreter"
if tests/unit/python/check_layouts.sh; then ok; else bad layouts; fi

echo "== decoders against live interpreters"
if tests/unit/python/run_live.sh build/tests/python/live_truth; then ok; else bad "live truth"; fi

echo "== end to end"
counts=$(mktemp)
PYLEAK=${PYLEAK:-build/pyleak-bpf} PYLEAK_COUNTS=$counts tests/e2e/run.sh "$@"
status=$?
if [ -s "$counts" ]; then
	e2e_passed=0 e2e_failed=0 e2e_skipped=0
	for pair in $(cat "$counts"); do
		declare "e2e_${pair%%=*}=${pair##*=}"
	done
	passed=$((passed + e2e_passed)) failed=$((failed + e2e_failed)) skipped=$((skipped + e2e_skipped))
	[ $status -eq 0 ] || [ "$e2e_failed" -gt 0 ] || bad "pytest ended with status $status"
else
	bad "pytest did not run"
fi
rm -f "$counts"

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
