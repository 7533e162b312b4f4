/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A strict JSON reader of its own for the tests, so that the writer is not judged by itself. */
#ifndef JSON_READER_H
#define JSON_READER_H

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct node {
	char kind;        /* one of { [ " 0 t n, as it begins; t for both booleans */
	char *key;        /* NULL in arrays */
	const char *text; /* where its text begins: for numbers */
	char *string;     /* escapes undone */
	struct node *first, *next;
};

static inline struct node *node__read(const char **s);

static inline char *string__read(const char **s)
{
	const char *p = *s;
	char *out, *o;

	if (*p++ != '"')
		return NULL;
	o = out = malloc(strlen(p) * 3 + 1);
	for (; *p != '"'; p++) {
		unsigned int c = (unsigned char)*p;

		if (c < 0x20)
			goto bad;
		if (c != '\\') {
			*o++ = (char)c;
			continue;
		}
		c = (unsigned char)*++p;
		if (c == 'u') {
			char hex[5] = {0};

			for (int i = 0; i < 4; i++)
				if (!isxdigit((unsigned char)(hex[i] = *++p)))
					goto bad;
			c = (unsigned int)strtoul(hex, NULL, 16);
			if (c < 0x80) {
				*o++ = (char)(c ? c : '0'); /* a NUL would end it */
			} else if (c < 0x800) {
				*o++ = (char)(0xc0 | c >> 6);
				*o++ = (char)(0x80 | (c & 0x3f));
			} else {
				*o++ = (char)(0xe0 | c >> 12);
				*o++ = (char)(0x80 | (c >> 6 & 0x3f));
				*o++ = (char)(0x80 | (c & 0x3f));
			}
		} else if (c && strchr("\"\\/", (int)c)) {
			*o++ = (char)c;
		} else {
			goto bad;
		}
	}
	*o = '\0';
	*s = p + 1;
	return out;
bad:
	free(out);
	return NULL;
}

static inline void node__free(struct node *n)
{
	while (n) {
		struct node *next = n->next;

		node__free(n->first);
		free(n->key);
		free(n->string);
		free(n);
		n = next;
	}
}

static inline bool members__read(struct node *n, const char **s, char close)
{
	struct node **last = &n->first;

	for (++*s; **s != close; last = &(*last)->next) {
		char *key = NULL;

		if (n->first && *(*s)++ != ',')
			return false;
		if (close == '}' && (!(key = string__read(s)) || *(*s)++ != ':')) {
			free(key);
			return false;
		}
		*last = node__read(s);
		if (!*last) {
			free(key);
			return false;
		}
		(*last)->key = key;
	}
	++*s;
	return true;
}

/* No blanks: the writer has none. NULL: not JSON. */
static inline struct node *node__read(const char **s)
{
	static const char *const words[] = {"true", "false", "null"};
	struct node *n = calloc(1, sizeof(*n));
	char *number_end;

	n->text = *s;
	n->kind = **s;
	if (n->kind == '{' || n->kind == '[') {
		if (members__read(n, s, n->kind == '{' ? '}' : ']'))
			return n;
	} else if (n->kind == '"') {
		if ((n->string = string__read(s)))
			return n;
	} else if (n->kind == '-' || isdigit((unsigned char)n->kind)) {
		n->kind = '0';
		strtod(*s, &number_end);
		*s = number_end;
		return n;
	}
	for (int i = 0; i < 3; i++) {
		if (strncmp(*s, words[i], strlen(words[i])))
			continue;
		n->kind = i < 2 ? 't' : 'n';
		*s += strlen(words[i]);
		return n;
	}
	node__free(n);
	return NULL;
}

static inline struct node *node__get(const struct node *n, const char *key)
{
	for (struct node *m = n ? n->first : NULL; m; m = m->next)
		if (m->key && !strcmp(m->key, key))
			return m;
	return NULL;
}

#endif
