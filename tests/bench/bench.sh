#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Costs side by side in one run: the system's python3, and one shared build if pyenv has one.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
pythons=(/usr/bin/python3)
if [ $# -eq 0 ] && command -v pyenv >/dev/null; then
	shared=$(find "$(pyenv root)"/versions -maxdepth 3 -path '*3.11*/bin/python3.11' 2>/dev/null | head -1)
	[ -z "$shared" ] || pythons+=("$shared")
fi
exec /usr/bin/python3 "$here/bench.py" "${@:-${pythons[@]}}"
