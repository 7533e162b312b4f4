#!/bin/sh
# check_layouts.sh [INCLUDE-DIR...]: re-checks the layout table against the headers of every interpreter that is
# installed here: `pyenv root`, then the system's own, then those that are named. One line per version; 0 when no field is wrong.
here=$(cd "$(dirname "$0")" && pwd)
top=$here/../../..
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
status=0
checked=0

check() { # include-dir [flag]
	[ -f "$1/Python.h" ] || return
	case $1 in
	*python2.7 | *python3.6m) ;; # all that counts is public there
	*) [ -d "$1/internal" ] || return ;;
	esac
	if ! ${CC:-cc} -std=gnu11 -w $2 -I"$1" -I"$1/internal" -I"$1/.." -I"$top/include" -I"$top/user/python" \
		-o "$tmp/check" "$here/check_layouts.c" "$top/user/python/layout.c"; then
		echo "$1: does not compile"
		status=1
		return
	fi
	checked=$((checked + 1))
	"$tmp/check" || status=1
	return 0
}

root=$(pyenv root 2>/dev/null || echo "${PYENV_ROOT:-$HOME/.pyenv}")
for version in ${VERSIONS:-2.7 3.6 3.7 3.8 3.9 3.10 3.11 3.12 3.13 3.14}; do
	for dir in "$root"/versions/"$version".*/include/python"$version"* /usr/include/python"$version"*; do
		[ -d "$dir" ] && check "$dir"
		case $version in
		2.7 | 3.6 | 3.7) ;; # Py_DEBUG brings Py_TRACE_REFS there
		*) [ -d "$dir" ] && check "$dir" -DPy_DEBUG ;;
		esac
	done
done
for dir; do
	check "$dir"
done
[ "$checked" -gt 0 ] || echo "SKIP: no interpreter with internal headers found"
exit $status
