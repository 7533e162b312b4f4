// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "discover.h"
#include "forecasts.h"
#include "global_pid.h"
#include "growth.h"
#include "intern.h"
#include "launch.h"
#include "log.h"
#include "options.h"
#include "proc_select.h"
#include "session.h"
#include "snapshot.h"
#include "stacks.h"
#include "table.h"
#include "targets.h"
#include "text.h"

#define TICKS_PER_INTERVAL 4
#define LOSS_TOLERANCE 0.01
#define REFUSALS_SAID 5 /* by -a: a host may have many */

struct session {
	const struct options *o;
	struct intern *strings;
	struct stacks *stacks;
	struct growth *growth;
	struct targets *targets;
	struct discover *discover;
	size_t refused_cnt;
	bool announced;
	int epoll_fd, timer_fd, signal_fd, out_fd;
	uint64_t start_ns, sample_ns, last_report_ns;
	uint64_t tick;
	bool stop, stdout_gone;
	struct launch *launch; /* run */
	bool launch_ended, started_nothing;
	int launch_status;     /* as an exit code */
	int exit_code;
};

enum watched { WATCH_TIMER, WATCH_SIGNAL, WATCH_LAUNCH, WATCH_EVENTS, WATCH_DISCOVER, WATCH_END };

/* PROC: whose end it tells. */
static void watch(struct session *s, int fd, enum watched what, uint32_t proc)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = (uint64_t)proc << 32 | what };

	if (fd >= 0)
		epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

static int open_output(const struct options *o)
{
	if (o->command != CMD_RUN)
		return STDOUT_FILENO;
	if (o->output)
		return open(o->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	return o->json ? STDOUT_FILENO : STDERR_FILENO;
}

static void on_added(void *ctx, struct target *t);

struct session *session__new(const struct options *o)
{
	struct session *s = calloc(1, sizeof(*s));
	struct growth_opts gopts = { .group = o->group };
	const struct targets_events events = { s, on_added };
	sigset_t set;

	if (!s)
		return NULL;
	s->o = o;
	s->strings = intern__new();
	s->stacks = s->strings ? stacks__new(s->strings) : NULL;
	gopts.strings = s->strings;
	gopts.stacks = s->stacks;
	s->growth = s->stacks ? growth__new(&gopts) : NULL;
	s->targets = s->growth ? targets__new(o, s->strings, s->stacks, &events) : NULL;
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	s->out_fd = open_output(o);
	if (s->out_fd < 0)
		log_error("%s: %s", o->output, strerror(errno));
	if (!s->targets || s->epoll_fd < 0 || s->timer_fd < 0 || s->signal_fd < 0 || s->out_fd < 0) {
		session__free(s);
		return NULL;
	}
	watch(s, s->timer_fd, WATCH_TIMER, 0);
	watch(s, s->signal_fd, WATCH_SIGNAL, 0);
	watch(s, targets__epoll_fd(s->targets), WATCH_EVENTS, 0);
	return s;
}

void session__free(struct session *s)
{
	if (!s)
		return;
	launch__free(s->launch);
	discover__free(s->discover);
	targets__free(s->targets);
	growth__free(s->growth);
	stacks__free(s->stacks);
	intern__free(s->strings);
	close(s->epoll_fd);
	close(s->timer_fd);
	close(s->signal_fd);
	if (s->out_fd > STDERR_FILENO)
		close(s->out_fd);
	free(s);
}

static double call_us(const struct session *s)
{
	const struct tracer_cost *c = targets__cost(s->targets);

	return (c->returned_ns + c->emulated_ns) * 1.3 / 1000;
}

static bool budget_mode(const struct session *s)
{
	return s->o->budget_pct > 0;
}

/* The bounds of budget mode, or the price of exact mode. */
static const char *price(const struct session *s, char *out, size_t size)
{
	if (budget_mode(s))
		snprintf(out, size, "budget mode: it costs at most %g %% of a CPU on average and slows for at most %g ms at a time; every allocation is "
			 "recorded while that is enough, a sample otherwise", s->o->budget_pct, s->o->max_pause_s * 1000);
	else
		snprintf(out, size, "exact mode: each allocation costs it about %.1f us more (measured here), so it may run many times slower while "
			 "traced", call_us(s));
	return out;
}

static void announce(const struct session *s, const struct target *t)
{
	const struct engine *e = tracer__engine(t->tracer);
	char text[256];

	log__print(s->launch || s->announced ? LOG_INFO : LOG_WARN, "tracing process %d (Python %s), %s. Ctrl-C stops.", t->pid, t->py.version,
		   price(s, text, sizeof(text)));
	if (!engine__recycle_cnt(e))
		log_info("process %d: dicts, lists, tuples and floats that the interpreter recycles keep the line of their block's first use",
			 t->pid);
	if (s->o->survived_gcs && t->py.major < 3 && engine__gc_probe(e)->kind == GC_PROBE_NONE)
		log_warn("process %d: this interpreter does not count its collections: --survived leaves all out", t->pid);
	if (*t->coverage_note)
		log_warn("process %d: coverage is partial: %s", t->pid, t->coverage_note);
	if (*t->py.names.doubt)
		log_warn("process %d: %s", t->pid, t->names_note);
}

/* The price is said before it is paid, for all that are there at the start; what comes later is told with -v. */
static void announce_all(struct session *s)
{
	struct target *const *list;
	size_t cnt = targets__list(s->targets, &list);
	char text[256];

	for (size_t i = 0; i < cnt && !s->o->all; i++)
		announce(s, list[i]);
	if (s->o->all)
		log_warn("tracing every Python process of this host, now %zu, each in %s. Ctrl-C stops.", cnt, price(s, text, sizeof(text)));
	else if (s->o->children && !budget_mode(s))
		log_warn("tracing their children too: the probes are active in every process that runs the same interpreter binary, and those "
			 "that are not traced pay about a third of that price.");
	s->announced = true;
}

static void on_added(void *ctx, struct target *t)
{
	struct session *s = ctx;

	watch(s, t->pidfd, WATCH_END, t->proc);
	if (target__alive(t))
		log_info("tracing process %d too, a child", t->pid);
}

int session__add(struct session *s, pid_t pid, bool early)
{
	char why[768] = "";
	struct target *t;
	int err = targets__add(s->targets, pid, early, &t, why, sizeof(why));

	if (err) {
		log_error("%s", *why ? why : strerror(ENOMEM));
		return err;
	}
	watch(s, t->pidfd, WATCH_END, t->proc);
	if (s->launch || s->announced)
		announce(s, t);
	return 0;
}

static pid_t parent_of(pid_t pid)
{
	struct proc_status st;

	return procfs__status(pid, &st) ? 0 : st.ppid;
}

/* Is it below a process that is traced, or below the command? */
static bool descends(const struct session *s, pid_t pid)
{
	for (int i = 0; i < 64 && pid > 1; i++) {
		pid = parent_of(pid);
		if (pid > 1 && (targets__find(s->targets, pid) || (s->launch && pid == launch__pid(s->launch))))
			return true;
	}
	return false;
}

static bool is_wanted(void *ctx, pid_t pid)
{
	const struct session *s = ctx;

	targets__consume(s->targets); /* an exec of a traced process, or a fork */
	if (pid == getpid() || targets__find(s->targets, pid))
		return false;
	return s->o->all ? selector__matches(&s->o->select, pid) == 1 : descends(s, pid);
}

static void on_refused(void *ctx, const char *why)
{
	struct session *s = ctx;

	s->refused_cnt++;
	log__print(s->refused_cnt <= REFUSALS_SAID || s->o->verbose ? LOG_WARN : LOG_INFO, "not traced: %s", why);
	if (s->refused_cnt == REFUSALS_SAID && !s->o->verbose)
		log_warn("more processes that cannot be traced are told with -v");
}

static bool on_found(void *ctx, pid_t pid)
{
	struct session *s = ctx;
	char why[768] = "";
	struct target *t;
	int err;

	if (s->announced && !targets__prepare(s->targets, pid))
		return false;
	err = targets__add(s->targets, pid, false, &t, why, sizeof(why));
	if (err && err != EXIT_TARGET && !kill(pid, 0)) /* else it has ended meanwhile */
		on_refused(s, why);
	if (err)
		return true;
	watch(s, t->pidfd, WATCH_END, t->proc);
	if (s->announced)
		announce(s, t);
	return true;
}

int session__discover(struct session *s)
{
	const struct discover_events events = { s, is_wanted, on_found, on_refused };
	pid_t pid;
	int err;

	if (!global_pid__of(getpid(), &pid) && pid != getpid()) {
		if (s->launch)
			return 0;
		log_error("-a and --children need the host's pid namespace (docker run --pid=host, hostPID: true): new processes are told "
			  "by its pids");
		return EXIT_UNSUPPORTED;
	}
	err = discover__new(&events, &s->discover);

	if (err) {
		log_error("cannot watch for new processes: %s%s", strerror(-err),
			  err == -EPERM || err == -EACCES ? " (run as root, or with CAP_BPF and CAP_PERFMON)" : "");
		return EXIT_UNSUPPORTED;
	}
	watch(s, discover__epoll_fd(s->discover), WATCH_DISCOVER, 0);
	if (!s->launch)
		discover__scan(s->discover);
	return 0;
}

static int write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buf += n;
		len -= n;
	}
	return 0;
}

static void put(struct session *s, const struct text *t)
{
	int err = t->failed ? -ENOMEM : s->stdout_gone ? 0 : write_all(s->out_fd, t->s, t->len);

	if (!err)
		return;
	s->stdout_gone = true;
	s->stop = true;
	if (err == -EPIPE)
		return; /* the reader has seen enough */
	log_error("cannot write the report: %s; tracing ends", strerror(-err));
	s->exit_code = EXIT_INCOMPLETE;
}

static uint64_t losses(const struct session *s, int which)
{
	struct target *const *list;
	size_t cnt = targets__list(s->targets, &list);
	uint64_t sum = 0;

	for (size_t i = 0; i < cnt; i++)
		sum += list[i]->loss[which];
	return sum;
}

static bool is_stack_loss(int which)
{
	return which == LOSS_STACK_MAP_FULL || which == LOSS_RINGBUF || which == LOSS_FRAME_READ || which == LOSS_OTHER_GIL;
}

static int table_width(int fd)
{
	struct winsize ws;

	return !isatty(fd) ? 0 : !ioctl(fd, TIOCGWINSZ, &ws) && ws.ws_col ? ws.ws_col : 80;
}

/* An event that was lost is, at worst, a block that is missing or left over. */
static bool too_much_lost(const struct snapshot *snap)
{
	return snap->lost_events > LOSS_TOLERANCE * (snap->outstanding_objects + snap->lost_events);
}

static void add_sampling(const struct target *t, uint64_t now, struct snapshot *snap)
{
	struct snapshot_sampling *m = &snap->sampling;
	double fraction = t->gate.fraction;

	if (!t->surveyed.readings)
		return;
	m->fraction = !m->known || fraction < m->fraction ? fraction : m->fraction; /* of the one that is known worst */
	m->known = true;
	m->bursts += t->gate.openings;
	m->lookouts += t->gate.lookouts;
	m->samples += t->surveyed.samples;
	m->reused = t->surveyed.reused > m->reused ? t->surveyed.reused : m->reused;
	if (t->gate.longest_pause_ns / 1e9 > m->longest_pause_s)
		m->longest_pause_s = t->gate.longest_pause_ns / 1e9;
	snap->target_cpu_mean_pct.known = true;
	if (now > t->attach_ns)
		snap->target_cpu_mean_pct.value += (double)t->gate.cost_ns / (now - t->attach_ns) * 100;
}

static void report(struct session *s, bool final)
{
	static const char *const keys[] = {
#define X(id, key, sentence) key,
		LOSS_LIST(X)
#undef X
	};
	static const char *const sentences[] = {
#define X(id, key, sentence) sentence,
		LOSS_LIST(X)
#undef X
	};
	struct target *const *list;
	size_t cnt = targets__list(s->targets, &list);
	struct snapshot_process *procs = calloc(cnt + 1, sizeof(*procs));
	struct snapshot_counter more[LOSS_CNT];
	struct growth_row *rows = calloc(s->o->top, sizeof(*rows));
	struct text text = {};
	uint64_t now = s->sample_ns;
	struct snapshot snap = {
		.time_unix_ns = clock__ns(CLOCK_REALTIME),
		.elapsed_s = (now - s->start_ns) / 1e9,
		.interval_s = (now - s->last_report_ns) / 1e9,
		.final = final,
		.mode = s->o->budget_pct > 0 ? "budget" : "exact",
		.group = s->o->group,
		.processes = procs,
		.processes_cnt = cnt,
		.lost_more = more,
		.rows = rows,
		.strings = s->strings,
		.stacks = s->stacks,
	};

	if (!rows || !procs)
		goto out;
	for (size_t i = 0; i < cnt; i++) {
		struct target *t = list[i];

		target__describe(t, &procs[i]);
		t->reported_gone = procs[i].gone;
		snap.target_cpu_pct.known |= t->cpu_pct_known;
		snap.target_cpu_pct.value += t->cpu_pct;
		snap.events += t->events;
		add_sampling(t, now, &snap);
		snap.outstanding_bytes += t->totals.bytes;
		snap.outstanding_objects += t->totals.objects;
		snap.pymalloc_bytes += t->totals.obj_bytes;
		snap.pymalloc_objects += t->totals.obj_objects;
	}
	forecasts__make(list, cnt, procs);
	for (int i = 0; i < LOSS_CNT; i++) {
		uint64_t n = losses(s, i);

		if (is_stack_loss(i))
			snap.lost_stacks += n;
		else
			snap.lost_events += n;
		if (n)
			more[snap.lost_more_cnt++] = (struct snapshot_counter){ keys[i], sentences[i], n };
	}
	growth__totals(s->growth, &snap.totals);
	snap.rows_cnt = growth__top(s->growth, s->o->top, rows);
	if (s->o->json) {
		snapshot__json(&snap, &text);
	} else {
		struct table_opts topts = { .width = table_width(s->out_fd), .verbose = s->o->verbose > 0 };

		topts.color = topts.width && !getenv("NO_COLOR");
		table__print(&snap, &topts, &text);
	}
	put(s, &text);
	text__free(&text);
	s->last_report_ns = now;
	if (final && too_much_lost(&snap) && !s->exit_code) {
		log_warn("%llu events were lost, beside %lld objects counted: the numbers above are too low%s",
			 (unsigned long long)snap.lost_events, (long long)snap.outstanding_objects,
			 losses(s, LOSS_BLOCK_MAP_FULL) ? " (--max-blocks makes more room)" : "");
		s->exit_code = EXIT_INCOMPLETE;
	}
out:
	free(rows);
	free(procs);
}

static void sample(struct session *s, uint64_t now_ns, bool interval_end);

/* A process that ends or execs: look once more at once, while its memory may still be there. */
static void on_state(struct session *s, struct target *t)
{
	if (t->state == t->state_handled)
		return;
	t->state_handled = t->state;
	if (t->state == TARGET_FINALIZED) {
		sample(s, clock__now_ns(), false);
		t->torn_down = true;
		if (s->launch)
			kill(t->pid, SIGCONT); /* the programs stopped it for this look */
	} else if (t->state == TARGET_EXECED) {
		log__print(s->discover ? LOG_INFO : LOG_WARN,
			   "process %d has replaced itself with another program (exec): its books are closed%s", t->pid,
			   s->discover ? "" : "; trace it anew with -p");
	} else if (!s->launch) {
		log__print(s->discover ? LOG_INFO : LOG_WARN, "process %d has ended", t->pid);
	}
}

static void on_states(struct session *s)
{
	struct target *const *list;

	for (size_t i = 0; i < targets__list(s->targets, &list); i++)
		on_state(s, list[i]);
}

static void sample(struct session *s, uint64_t now_ns, bool interval_end)
{
	int err;

	s->sample_ns = now_ns;
	if (s->discover && !s->launch)
		targets__drop_reported(s->targets);
	growth__begin(s->growth, now_ns);
	err = targets__sample(s->targets, s->growth, interval_end);
	if (err) {
		log_error("cannot read what was counted: %s", strerror(-err));
		s->exit_code = EXIT_INTERNAL;
		s->stop = true;
	}
	growth__end(s->growth, interval_end);
	on_states(s);
	if (s->discover)
		targets__retire_ended(s->targets, s->launch != NULL);
}

static void arm(struct session *s)
{
	uint64_t ns = s->o->interval_s * 1e9 / TICKS_PER_INTERVAL;
	struct itimerspec it = {};

	it.it_interval.tv_sec = it.it_value.tv_sec = ns / 1000000000;
	it.it_interval.tv_nsec = it.it_value.tv_nsec = ns % 1000000000;
	timerfd_settime(s->timer_fd, 0, &it, NULL);
}

static bool periodic(const struct session *s)
{
	return s->o->command != CMD_RUN;
}

static void on_timer(struct session *s)
{
	uint64_t n;
	bool interval_end;

	if (read(s->timer_fd, &n, sizeof(n)) != sizeof(n))
		return;
	/* On a busy machine some may have been missed: intervals stay as long as they should be. */
	interval_end = (s->tick + n) / TICKS_PER_INTERVAL > s->tick / TICKS_PER_INTERVAL;
	s->tick += n;
	sample(s, clock__now_ns(), interval_end);
	if (interval_end && periodic(s))
		report(s, false);
}

static void on_end(struct session *s, uint32_t proc)
{
	struct target *t = targets__find_proc(s->targets, proc);

	if (!t)
		return;
	epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, t->pidfd, NULL);
	targets__consume(s->targets);
	t->state = t->state == TARGET_EXECED ? t->state : TARGET_GONE;
	on_state(s, t);
}

int session__launch(struct session *s, char *const argv[])
{
	int err = launch__start(argv, &s->launch);

	if (err) {
		log_error("%s: %s", argv[0], strerror(-err));
		return EXIT_INTERNAL;
	}
	watch(s, launch__fd(s->launch), WATCH_LAUNCH, 0);
	return session__discover(s);
}

static bool is_python(pid_t pid)
{
	struct py_interp py;
	char why[512];
	int err = py_interp__open_early(&py, pid, why, sizeof(why));

	if (!err)
		py_interp__close(&py);
	return err != -ENOEXEC;
}

static void on_launch(struct session *s)
{
	struct launch_event ev;
	bool python;

	if (launch__read(s->launch, &ev))
		ev = (struct launch_event){ LAUNCH_FAILED, 0, -EPIPE };
	switch (ev.kind) {
	case LAUNCH_PROGRAM:
		python = is_python(ev.pid);
		if (python)
			session__add(s, ev.pid, true); /* a failure was said; the program runs on untraced */
		launch__go(s->launch, python);
		break;
	case LAUNCH_EXIT:
		s->launch_ended = true;
		s->launch_status = WIFSIGNALED(ev.status) ? 128 + WTERMSIG(ev.status) : WEXITSTATUS(ev.status);
		break;
	case LAUNCH_FAILED:
		s->launch_ended = s->started_nothing = true;
		s->launch_status = ev.status == -ENOENT ? 127 : 126;
		log_error("cannot start %s: %s", s->o->argv[0], strerror(-ev.status));
		break;
	}
}

/* Ctrl-C reaches the command by itself; a signal that was sent to us alone is for it too. */
static void on_signal(struct session *s)
{
	struct signalfd_siginfo si;

	if (read(s->signal_fd, &si, sizeof(si)) != sizeof(si))
		return;
	if (!s->launch)
		s->stop = true;
	else if (si.ssi_code != SI_KERNEL && launch__pid(s->launch) > 0)
		kill(launch__pid(s->launch), si.ssi_signo);
}

static void handle(struct session *s, uint64_t event)
{
	switch ((enum watched)(uint32_t)event) {
	case WATCH_TIMER:
		on_timer(s);
		break;
	case WATCH_SIGNAL:
		on_signal(s);
		break;
	case WATCH_LAUNCH:
		on_launch(s);
		break;
	case WATCH_EVENTS:
		targets__consume(s->targets);
		on_states(s);
		break;
	case WATCH_DISCOVER:
		discover__run(s->discover);
		break;
	case WATCH_END:
		on_end(s, event >> 32);
		break;
	}
}

/* The duration is over but the command is not: it goes on untraced, and its status is still ours. */
static void wait_for_command(struct session *s)
{
	struct epoll_event ev;

	epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, s->timer_fd, NULL);
	epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, targets__epoll_fd(s->targets), NULL);
	if (s->discover)
		epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, discover__epoll_fd(s->discover), NULL);
	while (s->launch && !s->launch_ended) {
		int n = epoll_wait(s->epoll_fd, &ev, 1, -1);

		if (n < 0 && errno != EINTR)
			return;
		if (n == 1 && (uint32_t)ev.data.u64 == WATCH_END) {
			const struct target *t = targets__find_proc(s->targets, ev.data.u64 >> 32);

			if (t)
				epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, t->pidfd, NULL);
		} else if (n == 1) {
			handle(s, ev.data.u64);
		}
	}
}

static int finish(struct session *s)
{
	size_t alive = targets__alive_cnt(s->targets);
	uint64_t end_ns = clock__now_ns();
	struct target *const *list;
	bool any = targets__list(s->targets, &list) > 0;

	/* Stop the traps first: what follows is our time, not the target's. Of many targets that takes seconds, in which less and less is seen. */
	targets__detach(s->targets);
	sample(s, end_ns, true);
	growth__finish(s->growth);
	if (any || s->o->all)
		report(s, true);
	if (targets__dropped_cnt(s->targets))
		log_warn("%zu processes that ended early are not in the report: it keeps the last ones", targets__dropped_cnt(s->targets));
	wait_for_command(s);
	if (s->launch) {
		if (!any && !s->started_nothing) {
			log_error("no Python interpreter was started: nothing to report");
			s->exit_code = s->exit_code ? s->exit_code : EXIT_UNSUPPORTED;
		}
		return s->launch_status ? s->launch_status : s->exit_code;
	}
	if (!s->exit_code && !alive && !s->o->all)
		s->exit_code = EXIT_TARGET;
	return s->exit_code;
}

/* Until the duration is over: 0. -1: no end is set. */
static int time_left_ms(const struct session *s)
{
	double left = s->o->duration_s * 1e3 - (clock__now_ns() - s->start_ns) / 1e6;

	if (!s->o->duration_s)
		return -1;
	return left <= 0 ? 0 : left > 3600000 ? 3600000 : (int)left + 1;
}

static bool goes_on(const struct session *s)
{
	if (s->stop)
		return false;
	return s->launch ? !s->launch_ended : s->o->all || targets__alive_cnt(s->targets) > 0;
}

int session__run(struct session *s)
{
	struct epoll_event evs[16];

	if (!s->launch)
		announce_all(s); /* only now that all probes are active */
	s->start_ns = s->last_report_ns = clock__now_ns();
	arm(s);
	while (goes_on(s)) {
		int n = epoll_wait(s->epoll_fd, evs, 16, time_left_ms(s));

		if (n < 0 && errno != EINTR)
			return EXIT_INTERNAL;
		if (!time_left_ms(s))
			break; /* the last report samples anew */
		for (int i = 0; i < n; i++)
			handle(s, evs[i].data.u64);
	}
	return finish(s);
}
