// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The units of text.h. No strtod(): it takes hex, "inf" and the locale's comma. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "text.h"

#define FRACTION_DIGITS 9

struct number {
	uint64_t whole;
	uint64_t nano; /* the fraction in 10^-9 */
};

/* Digits with an optional fraction; *S is left at what follows, blanks skipped. */
static int number__parse(const char **s, struct number *n)
{
	const char *p = *s;
	uint64_t scale = 1000000000;
	bool any = false;

	memset(n, 0, sizeof(*n));
	for (; isdigit((unsigned char)*p); p++, any = true) {
		unsigned int digit = (unsigned int)(*p - '0');

		if (n->whole > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		n->whole = n->whole * 10 + digit;
	}
	if (*p == '.') {
		for (p++; isdigit((unsigned char)*p); p++, any = true) {
			scale /= 10;
			n->nano += (uint64_t)(*p - '0') * scale;
		}
	}
	if (!any)
		return -EINVAL;
	while (*p == ' ')
		p++;
	*s = p;
	return 0;
}

int units__parse_bytes(const char *s, uint64_t *bytes)
{
	static const char prefixes[] = "kmgtpe";
	const char *prefix;
	struct number n;
	int shift = 0, err;
	uint64_t mask;

	err = number__parse(&s, &n);
	if (err)
		return err;
	if (*s && (prefix = strchr(prefixes, tolower((unsigned char)*s)))) {
		shift = 10 * (int)(prefix - prefixes + 1);
		s++;
		if (*s == 'i')
			s++;
	}
	if (*s && strcasecmp(s, "b"))
		return -EINVAL;
	if (!shift && n.nano)
		return -EINVAL;
	mask = shift ? UINT64_MAX >> shift : UINT64_MAX;
	if (n.whole > mask)
		return -ERANGE;
	*bytes = (n.whole << shift) + (uint64_t)((long double)n.nano * (long double)(1ULL << shift) / 1e9L);
	return 0;
}

int units__parse_seconds(const char *s, double *seconds)
{
	static const struct {
		const char *suffix;
		double factor, divisor;
	} units[] = {{"", 1, 1},  {"s", 1, 1},    {"ms", 1, 1e3},  {"us", 1, 1e6},
		   {"m", 60, 1}, {"min", 60, 1}, {"h", 3600, 1}, {"d", 86400, 1}};
	struct number n;
	int err;

	err = number__parse(&s, &n);
	if (err)
		return err;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(s, units[i].suffix))
			continue;
		/* dividing keeps "500ms" at exactly 0.5 */
		*seconds = ((double)n.whole + (double)n.nano / 1e9) * units[i].factor / units[i].divisor;
		return *seconds > 1e9 ? -ERANGE : 0;
	}
	return -EINVAL;
}

char *units__format_bytes(char out[16], double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	const char *sign = bytes < 0 ? "-" : "";
	double value = fabs(bytes);
	size_t unit = 0;

	if (isnan(bytes)) {
		snprintf(out, 16, "?");
		return out;
	}
	/* 1023.96 KiB would be printed as 1024.0 KiB */
	while (unit < 6 && value >= (unit ? 1023.95 : 1023.5)) {
		value /= 1024;
		unit++;
	}
	if (unit == 6 && value > 999)
		snprintf(out, 16, "%s", bytes < 0 ? "<-999 EiB" : ">999 EiB");
	else
		snprintf(out, 16, "%s%.*f %s", value < 0.5 && !unit ? "" : sign, unit ? 1 : 0, value, units[unit]);
	return out;
}

char *units__format_seconds(char out[32], double seconds)
{
	static const struct {
		const char *unit, *part;
		unsigned int size, part_size;
		unsigned int below; /* in parts: from there on the next unit is used */
	} steps[] = {
		{"s", NULL, 1, 1, 120}, {"min", "s", 60, 1, 600}, {"min", NULL, 60, 60, 60}, {"h", "min", 3600, 60, 1440}, {"d", "h", 86400, 3600, 8760},
	};
	size_t i = 0;
	unsigned int parts;

	if (!isfinite(seconds) || seconds > 365 * 86400.0) {
		snprintf(out, 32, isfinite(seconds) ? "over a year" : "never");
		return out;
	}
	seconds = fmax(seconds, 0);
	/* rounded first: 59.9 s are 60 s, 59.7 min are 1 h */
	while (i < 4 && round(seconds / steps[i].part_size) >= steps[i].below)
		i++;
	parts = (unsigned int)round(seconds / steps[i].part_size) * steps[i].part_size;
	if (steps[i].part && parts % steps[i].size)
		snprintf(out, 32, "%u %s %u %s", parts / steps[i].size, steps[i].unit, parts % steps[i].size / steps[i].part_size, steps[i].part);
	else
		snprintf(out, 32, "%u %s", parts / steps[i].size, steps[i].unit);
	return out;
}
