// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "witness.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "code.h"
#include "dict.h"
#include "layout.h"
#include "module.h"
#include "object.h"
#include "str.h"
#include "type.h"

enum {
	ENTRIES_MAX = 2048,  /* of a module's dict, or of sys.modules */
	MODULES_MAX = 256,   /* how many are looked into */
	KEYS_MAX = 8192,     /* and at how many of their names */
	TRIES = 5,           /* dicts change while they are read */
	ASKED_MAX = 4,       /* what is in the making contradicts at first */
	FUNCTIONS_MAX = 24,  /* that are compared */
	FUNCTIONS_MIN = 4,
	HEARD_MAX = 512,     /* functions, and classes, that are looked at in all modules together */
	CLASSES_MAX = 8,
	CLASSES_MIN = 2,
	CLASS_ENTRIES_MAX = 64,
	NAME_MAX_BYTES = 128,
	PATH_MAX_BYTES = 512,
	LINES_PROBED = 32,   /* places in a function */
	LINE_MAX = 20000,    /* no module of the interpreter is as long */
	LINES_MAX_BYTES = 1 << 16, /* nor has one of its functions so long a table */
	MODULE_DICT_OFF = 16, /* PyModuleObject.md_dict: Objects/moduleobject.c, the same in all versions */
	FUNCTION_WORDS = 8,   /* of a PyFunctionObject after its header: code and globals are among them */
};

/* The bits that say what a type is a subclass of, whether it is on the heap, and collected. */
#define KIND_FLAGS (0xff000000UL | TYPE_HEAP | TYPE_READY | TYPE_GC)
#define SUBCLASS(bit) (1UL << (bit))
/* Py_TPFLAGS_MANAGED_WEAKREF (3.12+), Py_TPFLAGS_MANAGED_DICT (3.11+); not used before in 3.x */
#define MANAGED_FLAGS 0x18UL

/* In sys.modules since 3.3, whatever is imported; importlib renames it later. */
#define BOOTSTRAP "_frozen_importlib"

struct span {
	int first, last; /* lines */
};

struct hearing {
	const struct py_interp *py;
	struct py_names *names;
	struct dict_entry modules[ENTRIES_MAX], entries[ENTRIES_MAX];
	/* of the module that is looked into */
	char module[NAME_MAX_BYTES], file[PATH_MAX_BYTES];
	uint64_t dict;
	struct span spans[FUNCTIONS_MAX];
	size_t spans_cnt;
	/* of all modules */
	bool starting; /* what is always there is not there yet */
	size_t keys, keys_wrong, functions, functions_right, methods_right, classes, classes_right, heads_right;
};

static void doubt(struct hearing *h, enum names_verdict *which, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void doubt(struct hearing *h, enum names_verdict *which, const char *fmt, ...)
{
	va_list args;

	*which = NAMES_FALSE;
	if (*h->names->doubt)
		return;
	va_start(args, fmt);
	vsnprintf(h->names->doubt, sizeof(h->names->doubt), fmt, args);
	va_end(args);
}

static void doubt_all(struct hearing *h, const char *what)
{
	doubt(h, &h->names->types, "%s", what);
	h->names->codes = NAMES_FALSE;
}

/* ---- what is static ---- */

struct known_type {
	int major; /* 0: all */
	const char *symbol, *name;
	uint64_t flags;
	int64_t basicsize, itemsize; /* -1: not the same everywhere */
	const char *base; /* NULL: object */
};

/* Objects/: each in its own file */
static const struct known_type known_types[] = {
	{ 0, "PyBaseObject_Type", "object", 0, 16, 0, NULL },
	{ 0, "PyType_Type", "type", TYPE_TYPE_SUBCLASS | TYPE_GC, -1, -1, NULL },
	{ 0, "PyList_Type", "list", TYPE_LIST_SUBCLASS | TYPE_GC, 40, 0, NULL },
	{ 0, "PyTuple_Type", "tuple", SUBCLASS(26) | TYPE_GC, -1, 8, NULL },
	{ 0, "PyDict_Type", "dict", TYPE_DICT_SUBCLASS | TYPE_GC, -1, 0, NULL },
	{ 0, "PyFloat_Type", "float", 0, 24, 0, NULL },
	{ 0, "PyFunction_Type", "function", TYPE_GC, -1, 0, NULL },
	{ 2, "PyString_Type", "str", TYPE_STRING_SUBCLASS, 37, 1, "PyBaseString_Type" },
	{ 2, "PyUnicode_Type", "unicode", TYPE_STR_SUBCLASS, -1, 0, "PyBaseString_Type" },
	{ 3, "PyBytes_Type", "bytes", TYPE_STRING_SUBCLASS, 33, 1, NULL },
	{ 3, "PyUnicode_Type", "str", TYPE_STR_SUBCLASS, -1, 0, NULL },
	{ 3, "PyBool_Type", "bool", SUBCLASS(24), -1, -1, "PyLong_Type" },
};

/* A type that is not exported tells nothing; one that is not ready yet will. */
static bool is_as_known(struct hearing *h, const struct known_type *known)
{
	const struct py_interp *py = h->py;
	uint64_t addr = module__symbol(py, known->symbol);
	char name[NAME_MAX_BYTES];
	struct type_info t;

	if (!addr)
		return true;
	return !type_info__read(py, addr, &t) && !py_type__name(py, addr, name, sizeof(name), NULL) && !strcmp(name, known->name) &&
	       (t.flags & KIND_FLAGS) == (known->flags | TYPE_READY) && (known->basicsize < 0 || t.basicsize == known->basicsize) &&
	       (known->itemsize < 0 || t.itemsize == known->itemsize) && t.metatype == py->types.type &&
	       (t.base == module__symbol(py, "PyBaseObject_Type") || t.addr == module__symbol(py, "PyBaseObject_Type") ||
		(known->base && t.base == module__symbol(py, known->base)));
}

static int64_t basicsize_of(struct hearing *h, uint64_t type)
{
	struct type_info t;

	return type_info__read(h->py, type, &t) ? 0 : t.basicsize;
}

/* The last fields of a structure are where the size says that its type has. */
static bool sizes_agree(struct hearing *h)
{
	const struct py_layout *l = h->py->layout;
	int64_t str = basicsize_of(h, h->py->types.str), bytes = basicsize_of(h, h->py->types.bytes), dict = basicsize_of(h, h->py->types.dict);
	int64_t code = basicsize_of(h, h->py->types.code);

	if (bytes != l->bytes_data + 1)
		return false;
	if (l->code_instr != NO_OFF && (code != l->code_instr || l->code_size != l->code_instr))
		return false;
	if (l->code_size > code)
		return false;
	if (l->dict_mask != NO_OFF) /* the small table, of 8 entries, is the last */
		return str == l->str_ascii_size + 1 && dict == l->dict_small_table + 8 * DICT27_ENTRY_BYTES;
	if (str != l->str_compact_size + 8 || str != l->str_data + 8 || dict != l->dict_values + 8)
		return false;
	return l->str_wstr == NO_OFF || (l->str_wstr + 8 == l->str_ascii_size && l->str_wstr_length + 8 == l->str_compact_size);
}

static void ask_static_types(struct hearing *h)
{
	for (size_t i = 0; i < sizeof(known_types) / sizeof(known_types[0]); i++) {
		const struct known_type *known = &known_types[i];

		if (known->major && known->major != h->py->major)
			continue;
		if (!is_as_known(h, known))
			doubt(h, &h->names->types, "the type '%s' is not found as such", known->name);
	}
	if (!sizes_agree(h))
		doubt_all(h, "str, bytes, dict or code objects are not of the expected size");
}

/* ---- what lives in modules ---- */

static bool read_key(struct hearing *h, uint64_t addr, char *out, size_t size)
{
	if (py_str__read(h->py, addr, out, size) || !*out)
		return false;
	for (const char *c = out; *c; c++)
		if (!isgraph((unsigned char)*c))
			return false;
	return true;
}

/* PyDictObject.ma_used, which the table of entries does not know. */
static int entries_of(struct hearing *h, uint64_t dict, struct dict_entry *out)
{
	uint64_t used;
	int cnt;

	for (int i = 0; i < TRIES; i++) {
		cnt = py_dict__entries(h->py, dict, out, ENTRIES_MAX);
		if (cnt >= 0 && !remote__read_u64(&h->py->mem, dict + (h->py->major < 3 ? 24 : 16), &used) && used == (uint64_t)cnt)
			return cnt;
	}
	return -EFAULT;
}

static bool type_is(struct hearing *h, uint64_t object, uint64_t type)
{
	uint64_t found;

	return type && !remote__read_u64(&h->py->mem, object + 8, &found) && found == type;
}

/* The file that a module is from, as its functions have it: the last part of the path, of the source. "<frozen NAME>" may be, too. */
static void file_of_module(struct hearing *h)
{
	char path[PATH_MAX_BYTES];
	const char *name;
	uint64_t file;
	size_t len;

	if (py_dict__find(h->py, h->dict, "__file__", &file) || py_str__read(h->py, file, path, sizeof(path))) {
		name = strrchr(h->module, '.');
		snprintf(h->file, sizeof(h->file), "%s.py", name ? name + 1 : h->module); /* frozen ones keep the name of their source */
		return;
	}
	name = strrchr(path, '/');
	snprintf(h->file, sizeof(h->file), "%s", name ? name + 1 : path);
	len = strlen(h->file);
	if (len > 4 && (!strcmp(h->file + len - 4, ".pyc") || !strcmp(h->file + len - 4, ".pyo")))
		h->file[len - 1] = '\0';
}

static bool is_file_of_module(const struct hearing *h, const char *filename)
{
	const char *name = strrchr(filename, '/');
	char frozen[NAME_MAX_BYTES + 10];

	snprintf(frozen, sizeof(frozen), "<frozen %s>", strcmp(h->module, BOOTSTRAP) ? h->module : "importlib._bootstrap");
	return !strcmp(name ? name + 1 : filename, h->file) || !strcmp(filename, frozen);
}

/* The address of a function's code object, if its globals are those of this module. By what is there, as the order has changed. */
static uint64_t code_of_function(struct hearing *h, uint64_t function)
{
	uint64_t words[FUNCTION_WORDS], code = 0;
	bool at_home = false;

	if (!type_is(h, function, h->py->types.function) || remote__read(&h->py->mem, function + 16, words, sizeof(words)))
		return 0;
	for (int i = 0; i < FUNCTION_WORDS; i++) {
		at_home |= words[i] == h->dict;
		if (!code && type_is(h, words[i], h->py->types.code))
			code = words[i];
	}
	return at_home ? code : 0;
}

/* How long the bytecode is. */
static int bytecode_bytes(struct hearing *h, uint64_t code)
{
	const struct py_layout *l = h->py->layout;
	uint64_t size, bytes = code;

	if (l->code_bytecode != NO_OFF &&
	    (remote__read_u64(&h->py->mem, code + l->code_bytecode, &bytes) || !type_is(h, bytes, h->py->types.bytes)))
		return 0;
	if (remote__read_u64(&h->py->mem, bytes + 16, &size) || size > 1 << 24) /* ob_size */
		return 0;
	return l->code_bytecode != NO_OFF ? size : 2 * size;
}

/* Bytes of code that a line table is about; for those formats that leave the rest out, no more than BYTECODE. */
static int table_covers(const struct py_code *code, int bytecode)
{
	int64_t covered = 0;

	for (size_t i = 0; i < code->line_table_size; i++) {
		if (code->line_format == LINES_LOCATIONS)
			covered += code->line_table[i] & 0x80 ? 2 * ((code->line_table[i] & 7) + 1) : 0;
		else if (i % 2 == 0)
			covered += code->line_table[i];
	}
	if (code->line_format == LINES_LOCATIONS || code->line_format == LINES_RANGES)
		return covered == bytecode;
	return covered < bytecode && code->line_table_size % 2 == 0;
}

/* False: what the table says is not of one piece of source. */
static bool find_span(const struct py_code *code, int bytecode, struct span *out)
{
	int step = bytecode / LINES_PROBED / 2 * 2 + 2, line;

	if (!table_covers(code, bytecode) || code->first_line <= 0 || code->first_line > LINE_MAX)
		return false;
	*out = (struct span){ code->first_line, code->first_line };
	for (int lasti = 0; lasti < bytecode; lasti += step) {
		line = py_code__line(code, lasti);
		if (line && (line < code->first_line || line > LINE_MAX))
			return false;
		if (line > out->last)
			out->last = line;
	}
	return true;
}

/* Functions of one file, none inside another, have lines of their own. */
static bool is_apart(const struct hearing *h, const struct span *span)
{
	for (size_t i = 0; i < h->spans_cnt; i++)
		if (span->first <= h->spans[i].last && h->spans[i].first <= span->last)
			return false;
	return true;
}

/* Is the code object's name NAME, its file this module's, and do its lines make sense? */
static bool is_code_right(struct hearing *h, uint64_t addr, const char *name)
{
	struct py_code code;
	struct span span;
	bool right;

	if (py_code__read(h->py, addr, &code))
		return false;
	right = !strcmp(code.name, name) && is_file_of_module(h, code.filename) && code.line_table_size <= LINES_MAX_BYTES &&
		find_span(&code, bytecode_bytes(h, addr), &span) && is_apart(h, &span);
	if (right && h->spans_cnt < FUNCTIONS_MAX)
		h->spans[h->spans_cnt++] = span;
	py_code__free(&code);
	return right;
}

static void hear_function(struct hearing *h, const char *key, uint64_t value)
{
	uint64_t code = h->spans_cnt < FUNCTIONS_MAX && h->functions < HEARD_MAX ? code_of_function(h, value) : 0;

	if (!code)
		return;
	h->functions++;
	h->functions_right += is_code_right(h, code, key);
}

/* Since 3.11 code has a qualified name, next to the plain one: functions of a class tell them apart. */
static bool is_a_method_right(struct hearing *h, const char *class, uint64_t dict)
{
	struct dict_entry entries[CLASS_ENTRIES_MAX];
	char key[NAME_MAX_BYTES], name[2 * NAME_MAX_BYTES];
	int cnt = py_dict__entries(h->py, dict, entries, CLASS_ENTRIES_MAX);
	bool qualified = h->py->layout->line_format == LINES_LOCATIONS;

	for (int i = 0; i < cnt; i++) {
		uint64_t code = code_of_function(h, entries[i].value);

		if (!code || !read_key(h, entries[i].key, key, sizeof(key)))
			continue;
		snprintf(name, sizeof(name), "%s%s%s", qualified ? class : "", qualified ? "." : "", key);
		if (is_code_right(h, code, name))
			return true;
	}
	return false;
}

/* PyHeapTypeObject.ht_name, which is a str, too, lies two words before the qualified one. */
static bool has_name_before_qualname(struct hearing *h, uint64_t type)
{
	uint64_t name;
	char text[NAME_MAX_BYTES];

	if (h->py->major < 3)
		return true;
	return !remote__read_u64(&h->py->mem, type + h->py->layout->heap_type_qualname - 16, &name) && type_is(h, name, h->py->types.str) &&
	       read_key(h, name, text, sizeof(text));
}

/* What the collector's links lead to is a collected object again, or the head of a list, which is no object. */
static bool has_gc_head(struct hearing *h, uint64_t object)
{
	uint64_t next, type;
	struct type_info t;

	if (remote__read_u64(&h->py->mem, object - h->py->gc_head_bytes, &next))
		return false;
	next &= ~3UL;
	return next && !remote__read_u64(&h->py->mem, next + h->py->gc_head_bytes + 8, &type) && !type_info__read(h->py, type, &t) &&
	       t.flags & TYPE_GC;
}

static bool is_class_right(struct hearing *h, const char *key, uint64_t type, const struct type_info *t)
{
	char name[2 * NAME_MAX_BYTES], expected[2 * NAME_MAX_BYTES + 2];
	struct dict_entry entries[CLASS_ENTRIES_MAX];

	snprintf(expected, sizeof(expected), "%s.%s", h->module, key);
	if (py_type__name(h->py, type, name, sizeof(name), NULL) || strcmp(name, expected) || !has_name_before_qualname(h, type))
		return false;
	/* From 3.6 on dicts are in order, and a class statement sets __module__ first. */
	return h->py->major < 3 || (py_dict__entries(h->py, t->dict, entries, CLASS_ENTRIES_MAX) > 0 &&
				    read_key(h, entries[0].key, name, sizeof(name)) && !strcmp(name, "__module__"));
}

static void hear_class(struct hearing *h, const char *key, uint64_t value)
{
	const struct py_layout *l = h->py->layout;
	struct type_info t;

	if (h->classes_right == CLASSES_MAX || h->classes == HEARD_MAX || !type_is(h, value, h->py->types.type) || type_info__read(h->py, value, &t) ||
	    !(t.flags & TYPE_HEAP))
		return;
	h->classes++;
	if (!is_class_right(h, key, value, &t))
		return;
	h->classes_right++;
	/* Instances of a class without slots have all the words in front of them that there are in this version. */
	h->heads_right += has_gc_head(h, value) && (h->py->major < 3 || (t.flags & MANAGED_FLAGS) == l->preheader_flags);
	if (!h->methods_right)
		h->methods_right += is_a_method_right(h, key, t.dict);
}

/* 0: it was one, and has been heard. */
static int open_module(struct hearing *h, const struct dict_entry *module)
{
	char name[NAME_MAX_BYTES];
	uint64_t addr;

	if (!type_is(h, module->value, module__symbol(h->py, "PyModule_Type")) || !read_key(h, module->key, h->module, sizeof(h->module)) ||
	    remote__read_u64(&h->py->mem, module->value + MODULE_DICT_OFF, &h->dict) || !type_is(h, h->dict, h->py->types.dict))
		return -ENOENT;
	if (py_dict__find(h->py, h->dict, "__name__", &addr) || !read_key(h, addr, name, sizeof(name)) ||
	    (strcmp(name, h->module) && strcmp(h->module, BOOTSTRAP)))
		return -ENOENT;
	file_of_module(h);
	h->spans_cnt = 0;
	return entries_of(h, h->dict, h->entries);
}

static void hear_module(struct hearing *h, const struct dict_entry *module)
{
	int cnt = open_module(h, module);
	char key[NAME_MAX_BYTES];

	for (int i = 0; i < cnt && h->keys < KEYS_MAX; i++) {
		h->keys++;
		if (!read_key(h, h->entries[i].key, key, sizeof(key))) {
			h->keys_wrong++;
			continue;
		}
		hear_function(h, key, h->entries[i].value);
		hear_class(h, key, h->entries[i].value);
	}
}

static bool types_are_right(const struct hearing *h)
{
	return h->classes_right >= CLASSES_MIN && h->heads_right;
}

/* A function may have been replaced by another one's. */
static bool codes_are_right(const struct hearing *h)
{
	return h->functions_right >= FUNCTIONS_MIN && h->functions_right * 4 >= h->functions * 3 &&
	       (h->methods_right || h->py->layout->line_format != LINES_LOCATIONS);
}

/* Newest interpreters have one module that is known to the last line, older ones many that are known well enough. */
static void hear_modules(struct hearing *h, int cnt)
{
	char key[NAME_MAX_BYTES];

	h->starting = h->py->major > 2;
	for (int i = 0; i < cnt; i++) {
		if (!read_key(h, h->modules[i].key, key, sizeof(key)) || strcmp(key, BOOTSTRAP))
			continue;
		hear_module(h, &h->modules[i]);
		h->starting = false;
	}
	for (int i = 0; i < cnt && i < MODULES_MAX && !(types_are_right(h) && codes_are_right(h)); i++)
		hear_module(h, &h->modules[i]);
}

static void judge_modules(struct hearing *h)
{
	const struct py_layout *l = h->py->layout;
	enum names_verdict *types = &h->names->types, *codes = &h->names->codes;

	if (h->keys_wrong * 16 > h->keys) {
		doubt_all(h, "the names in modules cannot be read");
		return;
	}
	if (*types == NAMES_UNCHECKED && types_are_right(h))
		*types = NAMES_TRUE;
	else if (h->classes >= 2 * CLASSES_MIN)
		doubt(h, types, "classes of the interpreter's own modules do not have their names");
	if (l->preheader_bytes != (l->preheader_flags ? 16 : 0))
		doubt(h, types, "objects have unusual headers");
	if (*codes == NAMES_UNCHECKED && codes_are_right(h))
		*codes = NAMES_TRUE;
	else if (h->functions >= 2 * FUNCTIONS_MIN)
		doubt(h, codes, "functions of the interpreter's own modules do not have their names, files and lines");
}

/* 0: heard. -EAGAIN: there are no modules yet. -EFAULT: what should be sys.modules is not. */
static int ask_modules(struct hearing *h)
{
	const struct py_interp *py = h->py;
	uint64_t modules;
	int cnt;

	if (!py->interp_addr || remote__read_u64(&py->mem, py->interp_addr + py->layout->interp_modules, &modules) || !modules)
		return -EAGAIN;
	cnt = type_is(h, modules, py->types.dict) ? entries_of(h, modules, h->modules) : -EFAULT;
	if (cnt >= 0)
		hear_modules(h, cnt);
	return cnt < 0 ? -EFAULT : 0;
}

void witness__ask(const struct py_interp *py, struct py_names *names)
{
	struct py_names answer = { .asked = names->asked + 1 };
	struct hearing *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return;
	h->py = py;
	h->names = &answer;
	ask_static_types(h);
	err = ask_modules(h);
	if (err == -EFAULT)
		doubt_all(h, "sys.modules is not found");
	else if (!err)
		judge_modules(h);
	if (h->starting)
		err = -EAGAIN;
	free(h);
	if (err == -EAGAIN)
		return;
	names->asked = answer.asked;
	if ((answer.types == NAMES_FALSE || answer.codes == NAMES_FALSE) && answer.asked < ASKED_MAX)
		return;
	if (names->types == NAMES_UNCHECKED)
		names->types = answer.types;
	if (names->codes == NAMES_UNCHECKED)
		names->codes = answer.codes;
	snprintf(names->doubt, sizeof(names->doubt), "%s", answer.doubt);
}
