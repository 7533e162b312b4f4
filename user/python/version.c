// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "version.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "module.h"

enum {
	TEXT_MAX_BYTES = 300,      /* Py_GetVersion's buffer */
	CHUNK_BYTES = 256 << 10,
	SCAN_MAX_BYTES = 64 << 20, /* of .data and .bss */
};

void version__from_hex(unsigned long hex, struct py_version *out)
{
	int level = hex >> 4 & 0xf, serial = hex & 0xf;
	const char *suffix = level == 0xa ? "a" : level == 0xb ? "b" : level == 0xc ? "rc" : NULL;

	out->major = hex >> 24 & 0xff;
	out->minor = hex >> 16 & 0xff;
	out->patch = hex >> 8 & 0xff;
	if (suffix)
		snprintf(out->text, sizeof(out->text), "%d.%d.%d%s%d", out->major, out->minor, out->patch, suffix, serial);
	else
		snprintf(out->text, sizeof(out->text), "%d.%d.%d", out->major, out->minor, out->patch);
}

static bool is_version_char(char c)
{
	return isdigit((unsigned char)c) || c == '.' || c == 'a' || c == 'b' || c == 'r' || c == 'c' || c == '+';
}

/* TEXT: up to the blank, NUL-terminated. */
static int parse_version(const char *text, struct py_version *out)
{
	int len = 0;

	if (sscanf(text, "%2d.%3d.%3d%n", &out->major, &out->minor, &out->patch, &len) != 3 || !len)
		return -EINVAL;
	if (out->major < 2 || out->major > 3 || out->minor < 0 || out->patch < 0)
		return -EINVAL;
	snprintf(out->text, sizeof(out->text), "%s", text);
	return 0;
}

/* After "(": the build's info up to ")", then the compiler in brackets. */
static bool is_build_info(const char *at, const char *end)
{
	const char *limit = end - at > TEXT_MAX_BYTES ? at + TEXT_MAX_BYTES : end;

	for (; at + 3 < limit && *at; at++)
		if (at[0] == ')' && at[1] == ' ' && (at[2] == '[' || (at[2] == '\n' && at[3] == '[')))
			return true;
	return false;
}

int version__from_text(const char *bytes, size_t size, struct py_version *out)
{
	const char *end = bytes + size, *at = bytes, *start;
	char text[24];

	while ((at = memchr(at, '(', end - at))) {
		const char *paren = at++;

		if (paren - bytes < 6 || paren[-1] != ' ')
			continue;
		start = paren - 1;
		while (start > bytes && is_version_char(start[-1]) && paren - start < (int)sizeof(text))
			start--;
		if ((start > bytes && start[-1]) || paren - start > (int)sizeof(text) || !is_build_info(paren, end))
			continue;
		snprintf(text, sizeof(text), "%.*s", (int)(paren - 1 - start), start);
		if (!parse_version(text, out))
			return 0;
	}
	return -ENOENT;
}

/* Chunks overlap, so that a text on the border is seen whole. */
static int scan_range(const struct py_interp *py, uint64_t addr, uint64_t size, char *buf, struct py_version *out)
{
	uint64_t n;
	int err = -ENOENT;

	for (uint64_t off = 0; off < size && err; off += CHUNK_BYTES - TEXT_MAX_BYTES) {
		n = size - off < CHUNK_BYTES ? size - off : CHUNK_BYTES;
		err = remote__read(&py->mem, addr + off, buf, n);
		if (!err)
			err = version__from_text(buf, n, out);
		if (err == -ESRCH || err == -EPERM)
			return err;
	}
	return err ? -ENOENT : 0;
}

static int scan_memory(const struct py_interp *py, struct py_version *out)
{
	const struct elf_segment *segs;
	size_t cnt = elf_file__segments(py->elf, &segs);
	char *buf = malloc(CHUNK_BYTES);
	int err = -ENOENT;

	if (!buf)
		return -ENOMEM;
	for (size_t i = 0; i < cnt && err == -ENOENT; i++)
		if (segs[i].w)
			err = scan_range(py, segs[i].addr + py->bias,
					 segs[i].mem_size < SCAN_MAX_BYTES ? segs[i].mem_size : SCAN_MAX_BYTES, buf, out);
	free(buf);
	return err;
}

/* "3.9.18", maybe as the tail of a longer string: linkers merge them. Returns the length with the NUL, 0: not here. */
static size_t match_literal(const char *at, const char *end, struct py_version *out)
{
	const char *p = at;

	while (p < end && is_version_char(*p) && p - at < 16)
		p++;
	if (p == end || *p || p - at < 5 || at[1] != '.' || parse_version(at, out))
		return 0;
	return p - at + 1;
}

/* The version in "libpython3.9.so.1.0" or "python3.9" agrees, or there is none. */
static bool path_agrees(const char *path, const struct py_version *v)
{
	const char *name = strrchr(path, '/'), *at = strstr(name ? name : path, "python");
	int major, minor;

	if (!at || sscanf(at, "python%d.%d", &major, &minor) != 2)
		return true;
	return major == v->major && minor == v->minor;
}

/* PY_VERSION among the literals of the file: for an interpreter that has not made its version text yet. */
static int scan_literals(const struct py_interp *py, struct py_version *out)
{
	const struct elf_segment *segs;
	size_t cnt = elf_file__segments(py->elf, &segs);
	/* Only Python 2 has a type of this name. */
	const char first = module__symbol(py, "PyString_Type") ? '2' : '3';
	struct py_version found;

	for (size_t i = 0; i < cnt; i++) {
		const char *at = segs[i].w ? NULL : elf_file__bytes(py->elf, segs[i].addr, segs[i].file_size);
		const char *end = at ? at + segs[i].file_size : NULL;

		for (; at && (at = memchr(at, first, end - at)); at++) {
			if (!match_literal(at, end, &found) || found.major != first - '0' || !path_agrees(py->module_path, &found))
				continue;
			*out = found;
			return 0;
		}
	}
	return -ENOENT;
}

/* const unsigned long Py_Version, 3.11+ */
static bool read_symbol(const struct py_interp *py, struct py_version *out)
{
	const unsigned long *hex;
	struct elf_sym sym;
	unsigned long value;

	if (elf_file__symbol(py->elf, "Py_Version", &sym))
		return false;
	hex = elf_file__bytes(py->elf, sym.addr, sizeof(*hex));
	if (!hex)
		return false;
	memcpy(&value, hex, sizeof(value));
	version__from_hex(value, out);
	return true;
}

static bool has_symbol(const struct py_interp *py, const char *name)
{
	struct elf_sym sym;

	return !elf_file__symbol(py->elf, name, &sym);
}

int version__detect(struct py_interp *py, const struct reason *why)
{
	struct py_version symbol, text;
	bool has_version = read_symbol(py, &symbol);
	int err = scan_memory(py, &text);

	if (err && err != -ENOENT)
		return reason__set(why, err, "cannot read the memory of process %d: %s", py->pid, strerror(-err));
	if (err && !has_version)
		err = scan_literals(py, &text);
	if (err && !has_version)
		return reason__set(why, -EAGAIN, "the Python in process %d is not initialised yet", py->pid);
	if (!err && has_version && (text.minor != symbol.minor || text.major != symbol.major))
		return reason__set(why, -EOPNOTSUPP, "process %d says it is Python %s, but its file is %s", py->pid, text.text,
				   symbol.text);
	if (err)
		text = symbol;
	py->major = text.major;
	py->minor = text.minor;
	py->patch = text.patch;
	snprintf(py->version, sizeof(py->version), "%s", text.text);
	/* Objects/object.c: only with Py_REF_DEBUG, which Py_DEBUG brings; only with Py_TRACE_REFS; only with Py_GIL_DISABLED. */
	py->debug = has_symbol(py, "_Py_NegativeRefcount") || has_symbol(py, "_Py_RefTotal");
	py->trace_refs = has_symbol(py, "_Py_PrintReferences");
	py->free_threaded = has_symbol(py, "_Py_DecRefShared") || has_symbol(py, "_Py_MergeZeroLocalRefcount");
	return 0;
}
