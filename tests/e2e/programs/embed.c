// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A program that is not called python and has an interpreter in it. Arguments are the interpreter's. */
#include <Python.h>

int main(int argc, char **argv)
{
	return Py_BytesMain(argc, argv);
}
