/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is known of every interpreter without its layout, asked through the layout: types that it exports have known names, flags and
 * sizes; the modules that it always has (importlib's since 3.3) have classes and functions whose names and files are known. A table that
 * leads elsewhere is found out, however plausible the texts are that it leads to.
 */
#ifndef WITNESS_H
#define WITNESS_H

#include "python.h"

/*
 * Fills NAMES. Each question is answered NAMES_UNCHECKED while the interpreter has not made what would answer it: ask again. Some
 * hundred reads at most, no pause.
 */
void witness__ask(const struct py_interp *py, struct py_names *names);

#endif
