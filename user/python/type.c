// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "type.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dict.h"
#include "layout.h"
#include "object.h"
#include "python.h"
#include "str.h"
#include "word.h"

enum {
	TYPE_MAX_BYTES = 416,
	METATYPES_MAX = 4, /* a metaclass of a metaclass of ... `type` */
	NAME_MAX_BYTES = 512,
};

/* Flags that stay as they are in a type's life. */
#define STABLE_FLAGS (TYPE_HEAP | TYPE_GC | 0xff000000UL)

static int is_address(uint64_t addr)
{
	return addr >= 4096 && addr < 1UL << 47 && !(addr & 7);
}

static int check_metatype(const struct py_interp *py, uint64_t metatype)
{
	const struct py_layout *l = py->layout;
	uint64_t flags;
	int err;

	for (int i = 0; i < METATYPES_MAX; i++) {
		if (metatype == py->types.type)
			return 0;
		if (!is_address(metatype))
			return -EFAULT;
		err = remote__read_u64(&py->mem, metatype + l->type_flags, &flags);
		if (err)
			return err;
		if (!(flags & TYPE_TYPE_SUBCLASS))
			return -EFAULT;
		err = remote__read_u64(&py->mem, metatype + 8, &metatype);
		if (err)
			return err;
	}
	return -EFAULT;
}

/* How much of a type holds all that is wanted. */
static uint32_t wanted_bytes(const struct py_layout *l)
{
	const uint32_t fields[] = { l->type_name, l->type_basicsize, l->type_itemsize, l->type_dealloc, l->type_flags, l->type_base, l->type_dict, l->type_alloc };
	uint32_t end = 16;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		end = fields[i] + 8 > end ? fields[i] + 8 : end;
	return end;
}

int type_info__read(const struct py_interp *py, uint64_t addr, struct type_info *out)
{
	const struct py_layout *l = py->layout;
	unsigned char bytes[TYPE_MAX_BYTES];
	uint32_t wanted = wanted_bytes(l);
	int err;

	if (!is_address(addr) || wanted > sizeof(bytes))
		return -EFAULT;
	err = remote__read(&py->mem, addr, bytes, wanted);
	if (err)
		return err;
	*out = (struct type_info){
		.addr = addr,
		.metatype = word(bytes, 8),
		.name = word(bytes, l->type_name),
		.dealloc = word(bytes, l->type_dealloc),
		.flags = word(bytes, l->type_flags),
		.base = word(bytes, l->type_base),
		.dict = word(bytes, l->type_dict),
		.alloc = word(bytes, l->type_alloc),
		.basicsize = word(bytes, l->type_basicsize),
		.itemsize = word(bytes, l->type_itemsize),
	};
	if (out->basicsize < 16 || out->basicsize > 1 << 30 || out->itemsize < 0 || out->itemsize > 1 << 30 || !out->name)
		return -EFAULT;
	/* 2.7: some extensions never call PyType_Ready() (Modules/arraymodule.c) */
	if (!(out->flags & TYPE_READY) && (py->major > 2 || !out->metatype || out->metatype != py->types.type))
		return -EFAULT;
	return check_metatype(py, out->metatype);
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15;
	return hash ^ hash >> 29;
}

/* tp_name is the address of the name's text: also of a new type's, which may have been put in the same place. */
static int make_stamp(const struct py_interp *py, const struct type_info *t, uint64_t *stamp)
{
	uint64_t fields[] = { t->metatype, t->name, t->dealloc, t->flags & STABLE_FLAGS, t->basicsize, t->itemsize, 0 };
	const size_t cnt = sizeof(fields) / sizeof(fields[0]);
	uint64_t hash = 0;
	char name[64];
	int err;

	err = py_cstr__read(py, t->name, name, sizeof(name));
	if (!err && t->flags & TYPE_HEAP)
		err = remote__read_u64(&py->mem, t->addr + py->layout->heap_type_qualname, &fields[cnt - 1]);
	if (err)
		return err;
	for (size_t i = 0; name[i]; i++)
		hash = mix(hash, (unsigned char)name[i]);
	for (size_t i = 0; i < cnt; i++)
		hash = mix(hash, fields[i]);
	*stamp = hash;
	return 0;
}

/* type_module() of Objects/typeobject.c; empty when __module__ is missing or no str. What cannot be read is neither. */
static int read_module(const struct py_interp *py, const struct type_info *t, char *out, size_t out_size)
{
	struct type_info type;
	uint64_t module, module_type;
	int err;

	out[0] = '\0';
	err = py_dict__find(py, t->dict, "__module__", &module);
	if (err)
		return err == -ENOENT ? 0 : err;
	err = remote__read_u64(&py->mem, module + 8, &module_type);
	if (!err)
		err = type_info__read(py, module_type, &type);
	if (err || !(type.flags & (py->major < 3 ? TYPE_STRING_SUBCLASS : TYPE_STR_SUBCLASS)))
		return err;
	return py_str__read(py, module, out, out_size);
}

static int heap_type_name(const struct py_interp *py, const struct type_info *t, char *out, size_t out_size)
{
	char module[NAME_MAX_BYTES], qualname[NAME_MAX_BYTES];
	uint64_t addr;
	int err;

	err = remote__read_u64(&py->mem, t->addr + py->layout->heap_type_qualname, &addr);
	if (!err)
		err = py_str__read(py, addr, qualname, sizeof(qualname));
	if (!err)
		err = read_module(py, t, module, sizeof(module));
	if (err)
		return err;
	if (!module[0] || !strcmp(module, py->major < 3 ? "__builtin__" : "builtins"))
		snprintf(out, out_size, "%s", qualname);
	else
		snprintf(out, out_size, "%s.%s", module, qualname);
	return 0;
}

static int static_type_name(const struct py_interp *py, const struct type_info *t, char *out, size_t out_size)
{
	static const char builtins[] = "builtins.";
	char name[NAME_MAX_BYTES];
	int err;

	err = py_cstr__read(py, t->name, name, sizeof(name));
	if (err)
		return err;
	snprintf(out, out_size, "%s", strncmp(name, builtins, sizeof(builtins) - 1) ? name : name + sizeof(builtins) - 1);
	return 0;
}

int py_type__name(const struct py_interp *py, uint64_t addr, char *out, size_t out_size, uint64_t *stamp)
{
	struct type_info t;
	int err;

	if (py->names.types == NAMES_FALSE)
		return -EFAULT;
	err = type_info__read(py, addr, &t);
	if (!err && stamp)
		err = make_stamp(py, &t, stamp);
	if (err)
		return err;
	return t.flags & TYPE_HEAP ? heap_type_name(py, &t, out, out_size) : static_type_name(py, &t, out, out_size);
}

int py_type__stamp(const struct py_interp *py, uint64_t addr, uint64_t *stamp)
{
	struct type_info t;
	int err;

	err = type_info__read(py, addr, &t);
	return err ? err : make_stamp(py, &t, stamp);
}
