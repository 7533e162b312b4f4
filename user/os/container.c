// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "container.h"

#include <string.h>

#include "procfs.h"

struct part {
	const char *s;
	size_t len;
};

static bool is_hex(struct part p)
{
	for (size_t i = 0; i < p.len; i++)
		if (!strchr("0123456789abcdef", p.s[i]) || !p.s[i])
			return false;
	return p.len > 0;
}

static bool is_id(struct part p)
{
	return p.len == 64 && is_hex(p);
}

static bool starts(struct part p, const char *prefix)
{
	return p.len > strlen(prefix) && !memcmp(p.s, prefix, strlen(prefix));
}

static bool ends(struct part p, const char *suffix)
{
	size_t len = strlen(suffix);

	return p.len > len && !memcmp(p.s + p.len - len, suffix, len);
}

static bool equals(struct part p, const char *s)
{
	return p.len == strlen(s) && !memcmp(p.s, s, p.len);
}

static struct part skip(struct part p, size_t cnt)
{
	return (struct part){ p.s + cnt, p.len - cnt };
}

static struct part cut(struct part p, size_t cnt)
{
	return (struct part){ p.s, p.len - cnt };
}

static void copy(char *out, size_t out_size, struct part p)
{
	size_t len = p.len < out_size ? p.len : out_size - 1;

	memcpy(out, p.s, len);
	out[len] = '\0';
}

static void set(struct container *c, const char *runtime, struct part id)
{
	copy(c->id, sizeof(c->id), id);
	copy(c->runtime, sizeof(c->runtime), (struct part){ runtime, strlen(runtime) });
}

/* What runtimes put in front of the id. Longer ones first where one begins another. */
static const struct {
	const char *prefix, *runtime;
} prefixes[] = {
	{ "cri-containerd", "containerd" }, { "nerdctl", "containerd" }, { "crio", "cri-o" }, { "docker", "docker" },
	{ "libpod-payload", "podman" }, { "libpod", "podman" }, { "balena", "balena" }, { "buildah", "buildah" },
};
#define PREFIXES (sizeof(prefixes) / sizeof(prefixes[0]))

/* "crio-<id>", "docker-<id>.scope" */
static bool take_prefixed(struct part p, struct container *c)
{
	if (ends(p, ".scope"))
		p = cut(p, 6);
	for (size_t i = 0; i < PREFIXES; i++) {
		size_t len = strlen(prefixes[i].prefix);

		if (starts(p, prefixes[i].prefix) && p.s[len] == '-' && is_id(skip(p, len + 1))) {
			set(c, prefixes[i].runtime, skip(p, len + 1));
			return true;
		}
	}
	return false;
}

/* "kubepods-burstable-pod<uid>.slice:cri-containerd:<id>": a systemd name that a runtime without systemd has taken as a path. */
static bool take_colons(struct part p, struct container *c)
{
	const char *colon = memrchr(p.s, ':', p.len), *before;
	struct part id, name;

	if (!colon)
		return false;
	id = skip(p, colon + 1 - p.s);
	before = memrchr(p.s, ':', colon - p.s);
	name = before ? (struct part){ before + 1, colon - before - 1 } : (struct part){ p.s, colon - p.s };
	if (!is_id(id))
		return false;
	set(c, "", id);
	for (size_t i = 0; i < PREFIXES; i++)
		if (equals(name, prefixes[i].prefix))
			set(c, prefixes[i].runtime, id);
	return true;
}

static int unhex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* systemd writes \x2d for a dash in a name (unit_name_escape). */
static void set_unescaped(struct container *c, const char *runtime, struct part p)
{
	char name[sizeof(c->id)];
	size_t len = 0;

	while (p.len && len < sizeof(name) - 1) {
		bool escaped = p.len >= 4 && p.s[0] == '\\' && p.s[1] == 'x' && unhex(p.s[2]) >= 0 && unhex(p.s[3]) >= 0;

		name[len++] = escaped ? unhex(p.s[2]) << 4 | unhex(p.s[3]) : *p.s;
		p = skip(p, escaped ? 4 : 1);
	}
	set(c, runtime, (struct part){ name, strnlen(name, len) });
}

/* "machine-<name>.scope", "systemd-nspawn@<name>.service"; the former is also used for virtual machines. */
static bool take_machine(struct part p, struct part parent, struct container *c)
{
	if (starts(p, "systemd-nspawn@") && ends(p, ".service")) {
		set_unescaped(c, "systemd-nspawn", cut(skip(p, 15), 8));
		return true;
	}
	if (!equals(parent, "machine.slice") || !starts(p, "machine-") || !ends(p, ".scope") || p.len <= 14 ||
	    starts(p, "machine-qemu\\x2d"))
		return false;
	if (starts(p, "machine-lxc\\x2d"))
		set_unescaped(c, "libvirt-lxc", cut(skip(p, 8), 6));
	else
		set_unescaped(c, "systemd-nspawn", cut(skip(p, 8), 6));
	return true;
}

static bool take_lxc(struct part p, struct part parent, struct container *c)
{
	if (starts(p, "lxc.payload.")) {
		set(c, "lxc", skip(p, 12));
		return true;
	}
	if (!p.len || !(equals(parent, "lxc") || equals(parent, "lxc.payload")))
		return false;
	set(c, "lxc", p);
	return true;
}

/* AWS Fargate: <32 hex of the task>-<number> */
static bool is_fargate(struct part p)
{
	if (p.len < 34 || p.s[32] != '-' || !is_hex((struct part){ p.s, 32 }))
		return false;
	for (size_t i = 33; i < p.len; i++)
		if (p.s[i] < '0' || p.s[i] > '9')
			return false;
	return true;
}

static bool take_plain(struct part p, struct part parent, struct part grand, struct container *c)
{
	bool ecs = equals(parent, "ecs") || equals(grand, "ecs");

	if (is_id(p)) {
		set(c, equals(parent, "docker") ? "docker" : ecs ? "ecs" : "", p);
		return true;
	}
	if (ecs && is_fargate(p)) {
		set(c, "ecs", p);
		return true;
	}
	if (p.len >= 20 && (equals(parent, "mesos") || equals(parent, "garden"))) {
		set(c, *parent.s == 'm' ? "mesos" : "garden", p);
		return true;
	}
	if (equals(parent, "buildkit") && equals(grand, "docker") && p.len) {
		set(c, "buildkit", p);
		return true;
	}
	return false;
}

/* "pod<uid>", "kubepods-burstable-pod<uid>.slice" with _ for -; a static pod's uid is 32 hex digits. */
static bool take_pod(struct part p, struct container *c)
{
	char uid[sizeof(c->pod_uid)];
	bool named = false;
	size_t len = 0;

	if (memchr(p.s, ':', p.len))
		p.len = (const char *)memchr(p.s, ':', p.len) - p.s;
	if (ends(p, ".slice"))
		p = cut(p, 6);
	for (size_t i = p.len; i >= 3 && !named; i--) {
		named = !memcmp(p.s + i - 3, "pod", 3) && (i == 3 || p.s[i - 4] == '-');
		if (named)
			p = skip(p, i);
	}
	if (!named || (p.len != 36 && p.len != 32))
		return false;
	for (; len < p.len; len++) {
		uid[len] = p.s[len] == '_' ? '-' : p.s[len];
		if (p.len == 36 && (len == 8 || len == 13 || len == 18 || len == 23) ? uid[len] != '-' : unhex(uid[len]) < 0)
			return false;
	}
	copy(c->pod_uid, sizeof(c->pod_uid), (struct part){ uid, len });
	return true;
}

/* The path of one hierarchy, from the root on: what is deeper is what the process is in. */
static bool parse_path(struct part path, struct container *c)
{
	struct part p = { path.s, 0 }, parent = p, grand = p;
	struct container pod = { .id = "" };

	*c = pod;
	if (ends(path, " (deleted)"))
		path = cut(path, 10);
	for (size_t i = 0; i < path.len; i += p.len + 1) {
		const char *slash = memchr(path.s + i, '/', path.len - i);

		grand = parent;
		parent = p;
		p = (struct part){ path.s + i, (slash ? (size_t)(slash - path.s) : path.len) - i };
		if (!p.len || equals(p, ".."))
			continue;
		take_pod(p, &pod);
		if (take_prefixed(p, c) || take_colons(p, c) || take_machine(p, parent, c) || take_lxc(p, parent, c))
			continue;
		take_plain(p, parent, grand, c);
	}
	memcpy(c->pod_uid, pod.pod_uid, sizeof(c->pod_uid));
	return *c->id || *c->pod_uid;
}

/* hierarchy:controllers:path */
static bool parse_line(struct part line, struct container *out)
{
	const char *colon = memchr(line.s, ':', line.len);

	colon = colon ? memchr(colon + 1, ':', line.s + line.len - colon - 1) : NULL;
	return colon && parse_path(skip(line, colon + 1 - line.s), out);
}

bool container__parse(const char *text, size_t len, struct container *out)
{
	const struct container none = { .id = "" };
	struct container found;

	*out = none;
	for (size_t i = 0; i < len && !*out->id;) {
		const char *newline = memchr(text + i, '\n', len - i);
		size_t line = (newline ? (size_t)(newline - text) : len) - i;

		if (parse_line((struct part){ text + i, line }, &found) && (*found.id || !*out->pod_uid))
			*out = found;
		i += line + 1;
	}
	return *out->id || *out->pod_uid;
}

int container__of(pid_t pid, struct container *out)
{
	char text[16384];
	ssize_t len = procfs__cgroup(pid, text, sizeof(text));

	*out = (struct container){ .id = "" };
	if (len < 0)
		return len;
	container__parse(text, len, out);
	return 0;
}
