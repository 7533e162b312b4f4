#!/bin/sh
# Re-checks the layout table against the headers of every interpreter that is installed here: `pyenv root`, then
# python3-config's own. One line per version; 0 when no field is wrong.
here=$(cd "$(dirname "$0")" && pwd)
top=$here/../../..
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
status=0
checked=0

check() { # include-dir
	[ -f "$1/Python.h" ] && [ -d "$1/internal" ] || return
	if ! ${CC:-cc} -std=gnu11 -w -I"$1" -I"$1/internal" -I"$top/include" -I"$top/user/python" \
		-o "$tmp/check" "$here/check_layouts.c" "$top/user/python/layout.c"; then
		echo "$1: does not compile"
		status=1
		return
	fi
	checked=$((checked + 1))
	"$tmp/check" || status=1
}

root=$(pyenv root 2>/dev/null || echo "${PYENV_ROOT:-$HOME/.pyenv}")
for minor in ${MINORS:-8 9 10 11 12 13}; do
	for dir in "$root"/versions/3."$minor".*/include/python3."$minor" /usr/include/python3."$minor"; do
		[ -d "$dir" ] && check "$dir"
	done
done
[ "$checked" -gt 0 ] || echo "SKIP: no interpreter with internal headers found"
exit $status
