/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the BPF programs must know of one CPython build: byte offsets, nothing else. Filled by
 * user/python from its layout table, handed to the programs as read-only data, so that the kernel's
 * verifier sees constants. Shared by both worlds: fixed-width types only.
 */
#ifndef PYLEAK_WALK_LAYOUT_H
#define PYLEAK_WALK_LAYOUT_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* How the instruction position is kept in a frame. */
enum lasti_kind {
	LASTI_BYTES = 0,   /* int, byte offset: PyFrameObject.f_lasti, 3.6-3.9 */
	LASTI_UNITS = 1,   /* int, in 2-byte code units: PyFrameObject.f_lasti, 3.10 */
	LASTI_POINTER = 2, /* pointer into the code object: prev_instr 3.11-3.12, instr_ptr 3.13+ */
};

#define WALK_NONE 0xffff /* this version has no such field */

#define CODE_HEAD_BYTES 208 /* of a code object: all fixed fields of every version up to co_code_adaptive */

/* A frame is fetched as one window of at most this many bytes from frame + frame_window_off. */
#define FRAME_WINDOW_BYTES 104

struct walk_layout {
	__u16 tstate_next_off;      /* PyThreadState.next */
	__u16 tstate_thread_id_off; /* PyThreadState.thread_id == pthread_self() == FS base on x86-64 */
	__u16 tstate_frame_off;     /* to 3.10 .frame, 3.11-3.12 .cframe, 3.13+ .current_frame */
	__u16 cframe_current_off;   /* _PyCFrame.current_frame (3.11-3.12), else WALK_NONE */

	__u16 frame_window_off; /* the next four are offsets inside the window: field <= FRAME_WINDOW_BYTES - size */
	__u16 frame_code_off;
	__u16 frame_back_off;
	__u16 frame_lasti_off;
	__u16 frame_owner_off;       /* char .owner, 3.11+, else WALK_NONE */
	__u16 frame_owner_cstack;    /* FRAME_OWNED_BY_CSTACK (3.12+), FRAME_OWNED_BY_INTERPRETER (3.14+): frames whose owner is
					this or more are no Python frames and are skipped; WALK_NONE if there is no such value */
	__u16 lasti_kind;            /* enum lasti_kind */
	__u16 code_instr_off;        /* LASTI_POINTER: PyCodeObject.co_code_adaptive */

	__u16 code_filename_off;     /* PyCodeObject: pointers to what names it, all below CODE_HEAD_BYTES */
	__u16 code_name_off;
	__u16 code_line_table_off;
	__u16 frame_window_bytes;    /* up to the last field: what follows a frame may not be mapped */

	__u16 type_flags_off;        /* PyTypeObject.tp_flags */
	__u16 gc_head_bytes;         /* 16; to 3.7 24 or 32 */
	__u16 preheader_bytes;       /* managed dict / weakref words before the GC head: 0 up to 3.10, 16 after */
	__u64 preheader_flags;       /* tp_flags bits that say an instance has those words */
	__u64 frame_code_mask;       /* 3.14+: the code pointer in a frame is tagged */
	__u64 finalized_when_zero;   /* 2.7: the word that tells of teardown is an int that becomes 0 then */
	__u64 refcnt_mask;           /* 3.14+: the upper bits of an object's first word are flags */
};

#endif
