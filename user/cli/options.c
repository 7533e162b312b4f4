// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <argp.h>
#include <errno.h>
#include <pwd.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "options.h"
#include "text.h"

#define STR_(x) #x
#define STR(x) STR_(x)

const char *argp_program_version = "pyleak-bpf " PYLEAK_VERSION;
error_t argp_err_exit_status = EXIT_USAGE;

enum key {
	KEY_MODE = 0x100,
	KEY_BUDGET,
	KEY_MAX_PAUSE,
	KEY_DEPTH,
	KEY_GROUP_BY,
	KEY_MIN_AGE,
	KEY_NATIVE,
	KEY_READ_ONLY,
	KEY_JSON,
	KEY_JSON_SCHEMA,
	KEY_MAX_BLOCKS,
	KEY_CHILDREN,
	KEY_COMM,
	KEY_USER,
	KEY_CGROUP,
	KEY_EVERY,
	KEY_FREEZE,
	KEY_SAMPLE,
	KEY_NEW_SINCE,
	KEY_SURVIVED,
	KEY_FLOOR,
	KEY_FILTER,
	KEY_TYPE,
	KEY_ADDR,
	KEY_LEAKED,
	KEY_SHOW_VALUES,
	KEY_DOT,
	KEY_SVG,
	KEY_MAX_MEMORY,
	KEY_CORE,
};

/* Rows shown where nobody says how many. */
enum { TOP_GROWERS = 10, TOP_TYPES = 30 };

static const struct argp_option option_table[] = {
	{ "pid", 'p', "PID[,PID...]", 0, "Trace these running processes", 1 },
	{ "all", 'a', NULL, 0, "Trace every Python process of the host, present and future", 1 },
	{ "children", KEY_CHILDREN, NULL, 0, "With -p: their children too, those there are and those to come", 1 },
	{ "comm", KEY_COMM, "PATTERN", 0, "With -a: only processes whose name fits this shell pattern", 1 },
	{ "user", KEY_USER, "USER", 0, "With -a: only processes of this user (name or number)", 1 },
	{ "cgroup", KEY_CGROUP, "PATH", 0, "With -a: only processes in this cgroup and those below it", 1 },
	{ "interval", 'i', "SEC", 0, "Time between reports (default 5)", 2 },
	{ "duration", 'd', "SEC", 0, "Stop after this long (default: until stopped; Ctrl-C prints a last report)", 2 },
	{ "top", 'n', "N", 0, "Growers shown (default 10); of census, types (default 30, with --json all); of refs, ways (default 10, with --json all)", 2 },
	{ "every", KEY_EVERY, "SEC", 0, "census: read again and again, and show growth by type", 2 },
	{ "freeze", KEY_FREEZE, NULL, 0, "census, refs: a still picture: hold the process while it is read, no longer than --max-pause", 3 },
	{ "sample", KEY_SAMPLE, "FRACTION", 0, "census: read a random part of the heap only (0.1 or 10%), and estimate the rest", 3 },
	{ "new-since", KEY_NEW_SINCE, "TIME", 0, "census: mark what is there, wait that long, and show only objects that are new since", 2 },
	{ "survived", KEY_SURVIVED, "N|TIME", 0, "Leave out what has survived fewer than N full collections; with --new-since also: what has not been there for TIME (with a unit: 20s)", 4 },
	{ "floor", KEY_FLOOR, "N", 0, "census: leave out types with fewer objects", 4 },
	{ "filter", KEY_FILTER, "REGEX", 0, "census: only types whose name this extended regular expression finds", 4 },
	{ "type", KEY_TYPE, "TYPE", 0, "refs: objects of this type (module.Class, or what stands behind one of the dots)", 4 },
	{ "addr", KEY_ADDR, "HEX", 0, "refs: the object at this address", 4 },
	{ "leaked", KEY_LEAKED, NULL, 0, "refs: objects that come and stay while it looks for --duration (default 10 s), of the three types that grow most", 4 },
	{ "show-values", KEY_SHOW_VALUES, NULL, 0, "refs: show keys of dicts, too, that are text or numbers and no names of the program's", 4 },
	{ "core", KEY_CORE, "FILE", 0, "census, refs: read this core file of a process (the kernel's, or gcore's) instead", 1 },
	{ "mode", KEY_MODE, "budget|exact", 0, "budget: what tracing costs the target is bounded (default for -p and -a); exact: every allocation, many times slower (default for run)", 3 },
	{ "budget", KEY_BUDGET, "PCT", 0, "The most CPU time of each target that tracing may cost it, on average (default 1)", 3 },
	{ "max-pause", KEY_MAX_PAUSE, "TIME", 0, "The longest stretch in which a target may be slowed; with --freeze, held (default 10ms)", 3 },
	{ "depth", KEY_DEPTH, "N", 0, "Python frames kept per stack, at most " STR(MAX_DEPTH) " (default 64)", 3 },
	{ "max-blocks", KEY_MAX_BLOCKS, "N", 0, "Live blocks that can be held; more are counted as lost (default 2097152)", 3 },
	{ "group-by", KEY_GROUP_BY, "WHAT", 0, "What one row is: stack, line, function, type, app (innermost frame of your own code), process, container, binary (default stack)", 4 },
	{ "min-age", KEY_MIN_AGE, "SEC", 0, "Leave out what is younger", 4 },
	{ "read-only", KEY_READ_ONLY, NULL, 0, "Write nothing into the target's memory beyond the kernel's uprobes; sees little of interpreters that inline their allocator", 5 },
	{ "json", KEY_JSON, NULL, 0, "One JSON object per interval or reading on stdout, nothing else there", 6 },
	{ "json-schema", KEY_JSON_SCHEMA, NULL, 0, "Print the schema of that object and exit", 6 },
	{ "output", 'o', "FILE", 0, "run: write the report here instead of to stderr", 6 },
	{ "max-memory", KEY_MAX_MEMORY, "SIZE", 0, "refs: the most memory that pyleak-bpf itself may take; it needs up to one and a half times what the process has (default: what is free)", 3 },
	{ "dot", KEY_DOT, NULL, 0, "refs: as a graph in the DOT language (graphviz)", 6 },
	{ "svg", KEY_SVG, NULL, 0, "refs: as a picture, drawn by graphviz", 6 },
	{ "verbose", 'v', NULL, 0, "Say more on stderr (repeatable); whole stacks in the table", 7 },
	{ 0 },
};

static const char doc[] =
	"Find memory leaks in running Python processes from outside: which line, which type, how fast.\v"
	"Commands:\n"
	"  pyleak-bpf -p PID            trace a running process; print the top growers every interval\n"
	"  pyleak-bpf -a                the same for every Python process of the host, present and future\n"
	"  pyleak-bpf run -- CMD...     start CMD traced from the interpreter's first allocation\n"
	"  pyleak-bpf census -p PID     heap by type, read from outside: no probe, no pause\n"
	"  pyleak-bpf refs -p PID --type T   who keeps objects of type T alive: read from outside, too\n"
	"  ... --core FILE              census, refs: the same of a process that left a core file\n"
	"  pyleak-bpf doctor [-p PID]   what works on this host, kernel and interpreter, and why not\n"
	"\n"
	"Sizes take KiB, MiB, GiB; times s, m, h. Exit status: 0 fine, 2 usage, 3 not supported here, 4 target gone or not "
	"ours to trace, 5 result incomplete, 6 internal error; run passes CMD's own status on.";

static const char args_doc[] = "[trace] -p PID[,PID...]\n[trace] -a\nrun [OPTION...] -- CMD...\ncensus -p PID[,PID...]\ncensus --core FILE\n"
	"refs -p PID|--core FILE --type TYPE|--addr HEX|--leaked\ndoctor [-p PID]";

static void parse_pids(struct argp_state *state, struct options *o, const char *arg)
{
	char *copy = strdup(arg), *save = NULL, *word;

	for (word = copy ? strtok_r(copy, ",", &save) : NULL; word; word = strtok_r(NULL, ",", &save)) {
		char *end;
		long pid;

		errno = 0;
		pid = strtol(word, &end, 10);
		if (errno || *end || pid <= 0 || pid > 1 << 22)
			argp_error(state, "'%s' is no process id", word);
		if (o->pids_cnt == MAX_PROCS)
			argp_error(state, "at most %d processes at once", MAX_PROCS);
		for (size_t i = 0; i < o->pids_cnt; i++)
			if (o->pids[i] == pid)
				argp_error(state, "process %ld is named twice", pid);
		o->pids = realloc(o->pids, (o->pids_cnt + 1) * sizeof(*o->pids));
		if (!o->pids)
			argp_failure(state, EXIT_INTERNAL, ENOMEM, "processes");
		o->pids[o->pids_cnt++] = pid;
	}
	if (!o->pids_cnt)
		argp_error(state, "-p needs a process id");
	free(copy);
}

static uid_t parse_user(struct argp_state *state, const char *arg)
{
	const struct passwd *pw = getpwnam(arg);
	char *end;
	unsigned long uid;

	if (pw)
		return pw->pw_uid;
	errno = 0;
	uid = strtoul(arg, &end, 10);
	if (errno || end == arg || *end || *arg == '-' || uid > UINT32_MAX)
		argp_error(state, "--user: there is no user '%s'", arg);
	return uid;
}

static double parse_time(struct argp_state *state, const char *name, const char *arg, double min)
{
	double s;

	if (units__parse_seconds(arg, &s) || s < min || s > 366 * 86400.0)
		argp_error(state, "--%s: '%s' is no time from %g s to a year (examples: 5, 500ms, 10m, 1h)", name, arg, min);
	return s;
}

static double parse_percent(struct argp_state *state, const char *arg)
{
	char *end;
	double v;

	errno = 0;
	v = strtod(arg, &end);
	if (end != arg && *end == '%')
		end++;
	if (errno || end == arg || *end || !(v >= 0.01 && v <= 50))
		argp_error(state, "--budget: '%s' is no percentage from 0.01 to 50", arg);
	return v;
}

static double parse_fraction(struct argp_state *state, const char *arg)
{
	char *end;
	double v;

	errno = 0;
	v = strtod(arg, &end);
	if (end != arg && *end == '%') {
		v /= 100;
		end++;
	}
	if (errno || end == arg || *end || !(v >= 0.0001 && v < 1))
		argp_error(state, "--sample: '%s' is no fraction from 0.0001 to below 1 (examples: 0.1, 5%%)", arg);
	return v;
}

/* A number is one of collections, a time has a unit. */
static void parse_survived(struct argp_state *state, struct options *o, const char *arg)
{
	char *end;
	unsigned long cnt;

	o->survived_gcs = 0;
	o->survived_s = 0;
	errno = 0;
	cnt = strtoul(arg, &end, 10);
	if (*arg >= '0' && *arg <= '9' && !*end) {
		if (errno || !cnt || cnt > UINT32_MAX)
			argp_error(state, "--survived: '%s' is no number of full collections", arg);
		o->survived_gcs = cnt;
		return;
	}
	if (units__parse_seconds(arg, &o->survived_s) || o->survived_s < 0.1 || o->survived_s > 366 * 86400.0)
		argp_error(state, "--survived: '%s' is neither a number of full collections nor a time from 0.1 s on (examples: 2, 20s, 10m)", arg);
}

static uint32_t parse_number(struct argp_state *state, const char *name, const char *arg, unsigned long min, unsigned long max)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(arg, &end, 10);
	if (errno || end == arg || *end || *arg == '-' || v < min || v > max)
		argp_error(state, "--%s: '%s' is no number from %lu to %lu", name, arg, min, max);
	return v;
}

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p <<= 1;
	return p;
}

static const char *parse_regex(struct argp_state *state, const char *arg)
{
	char why[128];
	regex_t regex;
	int err = regcomp(&regex, arg, REG_EXTENDED | REG_NOSUB);

	if (err) {
		regerror(err, &regex, why, sizeof(why));
		argp_error(state, "--filter: '%s' is no regular expression: %s", arg, why);
	}
	regfree(&regex);
	return arg;
}

static void choose_top(struct options *o)
{
	if (o->top || (o->json && (o->command == CMD_CENSUS || o->command == CMD_REFS)))
		return;
	o->top = o->command == CMD_CENSUS ? TOP_TYPES : TOP_GROWERS;
}

static void check_census(struct argp_state *state, const struct options *o)
{
	if (o->command != CMD_CENSUS) {
		if (o->every_s || o->floor || o->filter || o->sample || o->new_since_s)
			argp_error(state, "--every, --floor, --filter, --sample and --new-since are for census");
		if ((o->core || o->freeze) && o->command != CMD_REFS)
			argp_error(state, "--core and --freeze are for census and refs");
		if (o->survived_s)
			argp_error(state, "--survived: a number of full collections; for a time, --min-age");
		return;
	}
	if (o->core && o->pids_cnt)
		argp_error(state, "--core is instead of -p");
	if (o->core && o->every_s)
		argp_error(state, "nothing changes in a core: --every does not go with it");
	if (o->all || o->children)
		argp_error(state, "census reads the processes that are named: -p PID");
	if (!o->pids_cnt && !o->core)
		argp_error(state, "which process? census -p PID, or census --core FILE");
	if (o->core && (o->freeze || o->new_since_s))
		argp_error(state, "nothing changes in a core: --freeze and --new-since do not go with it");
	if ((o->survived_s || o->survived_gcs) && !o->new_since_s)
		argp_error(state, "--survived needs --new-since: a reading cannot tell how old an object is");
	if (o->survived_s >= o->new_since_s && o->survived_s)
		argp_error(state, "--survived: what is new since then cannot have been there so long: longer than --new-since");
	if (o->new_since_s && o->sample)
		argp_error(state, "--new-since needs all objects: --sample does not go with it");
	if (o->duration_s && !o->every_s)
		argp_error(state, "--duration needs --every: one reading ends by itself");
}

static void check_refs(struct argp_state *state, const struct options *o)
{
	int questions = !!o->type + !!o->addr + o->leaked;

	if (o->command != CMD_REFS) {
		if (questions || o->show_values || o->dot || o->svg || o->max_memory_bytes)
			argp_error(state, "--type, --addr, --leaked, --show-values, --max-memory, --dot and --svg are for refs");
		return;
	}
	if (o->all || o->children || o->pids_cnt + !!o->core != 1)
		argp_error(state, "refs reads one process: -p PID or --core FILE");
	if (o->core && o->freeze)
		argp_error(state, "nothing changes in a core: --freeze does not go with it");
	if (o->core && o->leaked)
		argp_error(state, "nothing changes in a core: --leaked does not go with it");
	if (questions != 1)
		argp_error(state, "who refers to what? --type TYPE, --addr HEX or --leaked");
	if (o->duration_s && !o->leaked)
		argp_error(state, "--duration goes with --leaked: one reading ends by itself");
	if (o->json + o->dot + o->svg > 1)
		argp_error(state, "--json, --dot and --svg: one of them");
}

static uint64_t parse_address(struct argp_state *state, const char *arg)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(arg, &end, 16);
	if (errno || end == arg || *end || *arg == '-' || v < 4096 || v >> 47)
		argp_error(state, "--addr: '%s' is no address of an object, as 0x7f12345678a0 is", arg);
	return v;
}

static void choose_mode(struct argp_state *state, struct options *o)
{
	bool exact = o->mode ? !strcmp(o->mode, "exact") : o->command == CMD_RUN && !o->budget_pct;

	if (exact && o->budget_pct)
		argp_error(state, "--budget is for --mode budget: exact mode has no bound");
	if (!exact && !o->budget_pct)
		o->budget_pct = 1;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'p':
		parse_pids(state, o, arg);
		break;
	case 'a':
		o->all = true;
		break;
	case KEY_COMM:
		o->select.comm = arg;
		break;
	case KEY_USER:
		o->select.by_uid = true;
		o->select.uid = parse_user(state, arg);
		break;
	case KEY_CGROUP:
		o->select.cgroup = arg;
		break;
	case KEY_CHILDREN:
		o->children = true;
		break;
	case 'i':
		o->interval_s = parse_time(state, "interval", arg, 0.1);
		break;
	case 'd':
		o->duration_s = parse_time(state, "duration", arg, 0.1);
		break;
	case 'n':
		o->top = parse_number(state, "top", arg, 1, 100000);
		break;
	case 'o':
		o->output = arg;
		break;
	case 'v':
		o->verbose++;
		break;
	case KEY_MODE:
		if (strcmp(arg, "budget") && strcmp(arg, "exact"))
			argp_error(state, "--mode: '%s' is not a mode (budget, exact)", arg);
		o->mode = arg;
		break;
	case KEY_BUDGET:
		o->budget_pct = parse_percent(state, arg);
		break;
	case KEY_MAX_PAUSE:
		o->max_pause_s = parse_time(state, "max-pause", arg, 0.001);
		if (o->max_pause_s > 10)
			argp_error(state, "--max-pause: more than 10 s is no bound");
		break;
	case KEY_DEPTH:
		o->depth = parse_number(state, "depth", arg, 1, MAX_DEPTH);
		break;
	case KEY_MAX_BLOCKS:
		o->max_blocks = power_of_two(parse_number(state, "max-blocks", arg, 1, 1UL << 28));
		break;
	case KEY_GROUP_BY:
		if (growth_group__parse(arg, &o->group))
			argp_error(state, "--group-by: '%s' is none of stack, line, function, type, app, process, container, binary", arg);
		break;
	case KEY_MIN_AGE:
		o->min_age_s = parse_time(state, "min-age", arg, 0);
		break;
	case KEY_READ_ONLY:
		o->read_only = true;
		break;
	case KEY_EVERY:
		o->every_s = parse_time(state, "every", arg, 0.1);
		break;
	case KEY_FREEZE:
		o->freeze = true;
		break;
	case KEY_SAMPLE:
		o->sample = parse_fraction(state, arg);
		break;
	case KEY_NEW_SINCE:
		o->new_since_s = parse_time(state, "new-since", arg, 0.1);
		break;
	case KEY_SURVIVED:
		parse_survived(state, o, arg);
		break;
	case KEY_FLOOR:
		o->floor = parse_number(state, "floor", arg, 0, UINT32_MAX);
		break;
	case KEY_FILTER:
		o->filter = parse_regex(state, arg);
		break;
	case KEY_TYPE:
		if (!*arg)
			argp_error(state, "--type needs the name of a type");
		o->type = arg;
		break;
	case KEY_ADDR:
		o->addr = parse_address(state, arg);
		break;
	case KEY_LEAKED:
		o->leaked = true;
		break;
	case KEY_SHOW_VALUES:
		o->show_values = true;
		break;
	case KEY_MAX_MEMORY:
		if (units__parse_bytes(arg, &o->max_memory_bytes) || !o->max_memory_bytes)
			argp_error(state, "--max-memory: '%s' is no size (examples: 512MiB, 2GiB)", arg);
		break;
	case KEY_DOT:
		o->dot = true;
		break;
	case KEY_SVG:
		o->svg = true;
		break;
	case KEY_CORE:
		o->core = arg;
		break;
	case KEY_JSON:
		o->json = true;
		break;
	case KEY_JSON_SCHEMA:
		o->json_schema = true;
		break;
	case ARGP_KEY_ARG:
		if (o->command != CMD_RUN)
			argp_error(state, "'%s' is not understood", arg);
		return ARGP_ERR_UNKNOWN; /* then ARGP_KEY_ARGS gets all the rest: CMD and what belongs to it */
	case ARGP_KEY_ARGS:
		o->argv = state->argv + state->next;
		break;
	case ARGP_KEY_END:
		if (o->json_schema)
			break;
		choose_mode(state, o);
		choose_top(o);
		check_census(state, o);
		check_refs(state, o);
		if (o->command == CMD_TRACE && !o->pids_cnt && !o->all)
			argp_error(state, "which process? -p PID, -a for all, or: run -- CMD...");
		if (o->all && o->pids_cnt)
			argp_error(state, "-a is all processes: -p does not go with it");
		if ((o->select.comm || o->select.cgroup || o->select.by_uid) && !o->all)
			argp_error(state, "--comm, --user and --cgroup choose among all processes: they go with -a");
		if (o->children && !o->pids_cnt)
			argp_error(state, "--children needs -p PID");
		if (o->command == CMD_RUN && o->all)
			argp_error(state, "run traces its own command: -a does not go with it");
		if (o->command == CMD_RUN && !o->argv)
			argp_error(state, "run what? run -- CMD...");
		if (o->command == CMD_RUN && o->pids_cnt)
			argp_error(state, "run starts its own process: -p does not go with it");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct {
	const char *name;
	enum command command;
} commands[] = { { "trace", CMD_TRACE }, { "run", CMD_RUN }, { "census", CMD_CENSUS }, { "refs", CMD_REFS }, { "doctor", CMD_DOCTOR } };

void options__parse(int argc, char **argv, struct options *o)
{
	const struct argp argp = { option_table, parse, args_doc, doc, NULL, NULL, NULL };
	static char name[] = "pyleak-bpf";

	*o = (struct options){
		.interval_s = 5,
		.depth = 64,
		.max_blocks = 1 << 21,
		.max_pause_s = 0.01,
	};
	if (argc > 1 && argv[1][0] != '-') {
		size_t i, cnt = sizeof(commands) / sizeof(commands[0]);

		for (i = 0; i < cnt && strcmp(argv[1], commands[i].name); i++)
			;
		if (i == cnt) {
			log_error("'%s' is not a command of this version (trace, run, census, refs, doctor); see pyleak-bpf --help", argv[1]);
			exit(EXIT_USAGE);
		}
		o->command = commands[i].command;
		argc--;
		argv++;
	}
	argv[0] = name;
	/* In order: what follows CMD is CMD's. */
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, o))
		exit(EXIT_USAGE);
}

bool options__follow(const struct options *o)
{
	return o->all || o->children || o->command == CMD_RUN;
}

void options__free(struct options *o)
{
	free(o->pids);
}
