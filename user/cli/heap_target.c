// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "heap_target.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "options.h"

static int open_core(struct heap_target *t)
{
	char why[512] = "";
	int err = core_file__open(t->core_path, &t->core, why, sizeof(why));

	if (err) {
		log_error("core %s: %s", t->core_path, *why ? why : strerror(-err));
		return err == -ENOEXEC ? EXIT_UNSUPPORTED : err == -ENOMEM ? EXIT_INTERNAL : EXIT_TARGET;
	}
	t->proc = process__of_core(t->core);
	return EXIT_FINE;
}

/* Of a core what is missing in it may be the reason. */
static int refuse(const struct heap_target *t, int err, const char *why)
{
	char gap[600] = "";

	if (t->core) {
		why = *why ? why : strerror(-err);
		if (process__gap(&t->proc, gap, sizeof(gap)) && !strstr(why, gap))
			log_error("core %s: %s (%s)", t->core_path, gap, why);
		else
			log_error("core %s: %s", t->core_path, why);
		return err == -ENOMEM || err == -EIO ? EXIT_INTERNAL : EXIT_UNSUPPORTED;
	}
	if (*why)
		log_error("%s", why);
	else
		log_error("there is no process %d, or it has ended", t->proc.pid);
	return err == -ESRCH || err == -EPERM || err == -EACCES ? EXIT_TARGET : EXIT_UNSUPPORTED;
}

int heap_target__open(struct heap_target *t, pid_t pid, const char *core_path)
{
	char why[512] = "";
	int err;

	*t = (struct heap_target){ .proc = process__live(pid), .core_path = core_path };
	if (core_path) {
		err = open_core(t);
		if (err)
			return err;
	}
	err = process__status(&t->proc, &t->status);
	if (!err)
		err = py_interp__open_in(&t->py, &t->proc, why, sizeof(why));
	t->open = !err;
	return err ? refuse(t, err, why) : EXIT_FINE;
}

void heap_target__close(struct heap_target *t)
{
	if (t->open)
		py_interp__close(&t->py);
	t->open = false;
	core_file__close(t->core);
	t->core = NULL;
}

int heap_target__check(struct heap_target *t)
{
	struct proc_status status;
	uint64_t head;
	int err = process__status(&t->proc, &status);

	if (err || status.state == 'Z' || status.start_ticks != t->status.start_ticks)
		return -ESRCH;
	if (remote__read_u64(&t->py.mem, t->py.interp_head_addr, &head) || !head)
		return -ESRCH; /* another program runs in it, or Python has ended */
	py_interp__check_names(&t->py);
	return 0;
}

int heap_target__fail(const struct heap_target *t, int err)
{
	if (t->core)
		return refuse(t, err, err == -ESRCH ? "the heap of its Python cannot be read" : "");
	if (err == -ESRCH || err == -EAGAIN)
		log_error("process %d has ended, or runs another program", t->proc.pid);
	else
		log_error("cannot read the heap of process %d: %s", t->proc.pid, strerror(-err));
	return err == -ESRCH || err == -EAGAIN || err == -EPERM || err == -EACCES ? EXIT_TARGET : EXIT_INTERNAL;
}

int heap_target__check_namespace(void)
{
	if (!procfs__check_namespace())
		return EXIT_FINE;
	log_error("/proc shows another pid namespace than ours: mount our own (mount -t proc proc /proc), or run in the host's");
	return EXIT_UNSUPPORTED;
}
