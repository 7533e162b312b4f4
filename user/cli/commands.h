/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One function per command; each returns an enum exit_code (run: CMD's own status when that is not 0). */
#ifndef COMMANDS_H
#define COMMANDS_H

struct options;

int cmd_trace(const struct options *o);
int cmd_run(const struct options *o);
int cmd_census(const struct options *o);
int cmd_refs(const struct options *o);
int cmd_doctor(const struct options *o);

#endif
