/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Standard output of the commands that print one answer. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>

struct table_opts;
struct text;

/* Width and colour as standard output has them. */
struct table_opts output__table_opts(bool verbose);
/* Writes and frees it; what is wrong is said. An enum exit_code. WHAT: "the reading". */
int output__write(struct text *text, const char *what);
/* The same through "dot -Tsvg" of graphviz. */
int output__write_svg(struct text *dot);

#endif
