#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# in_root.sh ROOT CMD...: CMD as a container runs it: in namespaces of its own for mounts and pids, with ROOT as the lower layer of
# an overlay for its root. The corpus is there under the path that it has outside. ROOT itself stays as it is.
set -eu
[ $# -gt 1 ] || { echo "usage: $0 ROOT CMD..." >&2; exit 2; }
here=$(cd "$(dirname "$0")/.." && pwd)
if [ "${IN_ROOT_STAGE:-}" != inside ]; then
	IN_ROOT_STAGE=inside exec unshare --mount --pid --fork --kill-child "$0" "$@"
fi
unset IN_ROOT_STAGE
root=$1
shift
mount --make-rprivate /
# somewhere to build it: nobody else sees what is mounted here
mount -t tmpfs -o size=256m tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
if ! mount -t overlay overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root; then
	echo "$0: no overlayfs here" >&2
	exit 1
fi
mount -t proc proc /mnt/root/proc
mount -t tmpfs tmpfs /mnt/root/tmp
mkdir -p "/mnt/root$here"
mount --bind "$here" "/mnt/root$here"
exec chroot /mnt/root "$@"
