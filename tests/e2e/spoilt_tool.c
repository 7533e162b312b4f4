// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The whole tool, with one wrong offset: linked to all of it, and SPOILT="frame_lasti +8" ("... 0": swapped with its neighbour) in the
 * environment says which. Status 77: this interpreter has no such field.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/python/spoil.h"

static void __attribute__((constructor)) read_environment(void)
{
	const char *text = getenv("SPOILT");
	char name[64];

	if (!text)
		return;
	if (sscanf(text, "%63s %d", name, &spoilt_shift) != 2)
		abort();
	for (spoilt_field = 0; spoilt_field < FIELDS && strcmp(fields[spoilt_field].name, name);)
		spoilt_field++;
	if (spoilt_field == FIELDS)
		abort();
}
