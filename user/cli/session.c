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
#include <time.h>
#include <unistd.h>

#include "growth.h"
#include "intern.h"
#include "launch.h"
#include "log.h"
#include "options.h"
#include "session.h"
#include "snapshot.h"
#include "stacks.h"
#include "table.h"
#include "target.h"
#include "text.h"

#define TICKS_PER_INTERVAL 4
#define LOSS_TOLERANCE 0.01

struct session {
	const struct options *o;
	struct intern *strings;
	struct stacks *stacks;
	struct growth *growth;
	struct target *targets;
	size_t cnt;
	int epoll_fd, timer_fd, signal_fd, out_fd;
	uint64_t start_ns, last_report_ns;
	unsigned tick;
	bool stop, stdout_gone;
	struct launch *launch; /* run */
	bool launch_ended, started_nothing;
	int launch_status;     /* as an exit code */
	int exit_code;
	struct leak_rows totals;
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void watch(struct session *s, int fd, uint32_t what)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = what };

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

enum { WATCH_TIMER, WATCH_SIGNAL, WATCH_LAUNCH, WATCH_TARGET = 4 };

struct session *session__new(const struct options *o)
{
	struct session *s = calloc(1, sizeof(*s));
	struct growth_opts gopts = { .group = o->group };
	sigset_t set;

	if (!s)
		return NULL;
	s->o = o;
	s->strings = intern__new();
	s->stacks = s->strings ? stacks__new(s->strings) : NULL;
	gopts.strings = s->strings;
	gopts.stacks = s->stacks;
	s->growth = s->stacks ? growth__new(&gopts) : NULL;
	s->targets = calloc(MAX_PROCS, sizeof(*s->targets));
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
	if (!s->growth || !s->targets || s->epoll_fd < 0 || s->timer_fd < 0 || s->signal_fd < 0 || s->out_fd < 0) {
		session__free(s);
		return NULL;
	}
	watch(s, s->timer_fd, WATCH_TIMER);
	watch(s, s->signal_fd, WATCH_SIGNAL);
	return s;
}

void session__free(struct session *s)
{
	if (!s)
		return;
	launch__free(s->launch);
	for (size_t i = 0; i < s->cnt; i++)
		target__close(&s->targets[i]);
	free(s->targets);
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

/* The price is said before it is paid. */
static void announce(const struct session *s, const struct target *t)
{
	const struct tracer_cost *c = tracer__cost(t->tracer);

	log__print(s->launch ? LOG_INFO : LOG_WARN,
		   "tracing process %d (Python %s) with %u probes, exact mode: each allocation costs it about %.1f us more (measured "
		   "here), so it may run many times slower while traced. Ctrl-C stops.",
		   t->pid, t->py.version, tracer__probe_cnt(t->tracer), (c->returned_ns + c->emulated_ns) * 1.3 / 1000);
	if (!tracer__recycle_cnt(t->tracer))
		log_info("process %d: dicts, lists, tuples and floats that the interpreter recycles keep the line of their block's first use",
			 t->pid);
	if (*t->coverage_note)
		log_warn("process %d: coverage is partial: %s", t->pid, t->coverage_note);
}

int session__add(struct session *s, pid_t pid, bool early)
{
	struct target *t = &s->targets[s->cnt];
	int err;

	memset(t, 0, sizeof(*t));
	t->pidfd = -1;
	t->proc = s->cnt + 1;
	err = target__open(t, pid, s->o, early, s->strings, s->stacks);
	err = err ?: target__attach(t);
	if (err) {
		target__close(t);
		return err;
	}
	s->cnt++;
	if (s->launch)
		announce(s, t);
	watch(s, t->pidfd, WATCH_TARGET + 2 * t->proc);
	watch(s, tracer__epoll_fd(t->tracer), WATCH_TARGET + 2 * t->proc + 1);
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
	uint64_t sum = 0;

	for (size_t i = 0; i < s->cnt; i++)
		sum += tracer__state(s->targets[i].tracer)->loss[which];
	return sum;
}

static bool is_stack_loss(int which)
{
	return which == LOSS_STACK_MAP_FULL || which == LOSS_RINGBUF || which == LOSS_FRAME_READ;
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
	struct snapshot_process procs[MAX_PROCS];
	struct snapshot_counter more[LOSS_CNT];
	struct growth_row *rows = calloc(s->o->top, sizeof(*rows));
	struct text text = {};
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	struct snapshot snap = {
		.time_unix_ns = clock_ns(CLOCK_REALTIME),
		.elapsed_s = (now - s->start_ns) / 1e9,
		.interval_s = (now - s->last_report_ns) / 1e9,
		.final = final,
		.mode = "exact",
		.group = s->o->group,
		.processes = procs,
		.processes_cnt = s->cnt,
		.outstanding_bytes = s->totals.bytes,
		.outstanding_objects = s->totals.objects,
		.pymalloc_bytes = s->totals.obj_bytes,
		.pymalloc_objects = s->totals.obj_objects,
		.lost_more = more,
		.rows = rows,
		.strings = s->strings,
		.stacks = s->stacks,
	};

	if (!rows)
		return;
	for (size_t i = 0; i < s->cnt; i++) {
		struct target *t = &s->targets[i];

		target__describe(t, &procs[i]);
		snap.target_cpu_pct.known |= t->cpu_pct_known;
		snap.target_cpu_pct.value += t->cpu_pct;
		snap.events += tracer__state(t->tracer)->events + tracer__state(t->tracer)->raw_events;
	}
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
	free(rows);
	s->last_report_ns = now;
	if (final && too_much_lost(&snap) && !s->exit_code) {
		log_warn("%llu events were lost, beside %lld objects counted: the numbers above are too low%s",
			 (unsigned long long)snap.lost_events, (long long)snap.outstanding_objects,
			 losses(s, LOSS_BLOCK_MAP_FULL) ? " (--max-blocks makes more room)" : "");
		s->exit_code = EXIT_INCOMPLETE;
	}
}

static void sample(struct session *s, bool interval_end);

/* A process that ends or execs: look once more at once, while its memory may still be there. */
static void on_state(struct session *s, struct target *t)
{
	if (t->state == t->state_handled)
		return;
	t->state_handled = t->state;
	if (t->state == TARGET_FINALIZED) {
		sample(s, false);
		if (s->launch)
			kill(t->pid, SIGCONT); /* the programs stopped it for this look */
	} else if (t->state == TARGET_EXECED) {
		log_warn("process %d has replaced itself with another program (exec): its books are closed; trace it anew with -p %d",
			 t->pid, t->pid);
	} else if (!s->launch) {
		log_warn("process %d has ended", t->pid);
	}
}

static void sample(struct session *s, bool interval_end)
{
	growth__begin(s->growth, clock_ns(CLOCK_MONOTONIC));
	memset(&s->totals, 0, sizeof(s->totals));
	for (size_t i = 0; i < s->cnt; i++) {
		int err = target__sample(&s->targets[i], s->growth, interval_end, &s->totals);

		if (err) {
			log_error("process %d: cannot read what was counted: %s", s->targets[i].pid, strerror(-err));
			s->exit_code = EXIT_INTERNAL;
			s->stop = true;
		}
	}
	growth__end(s->growth, interval_end);
	for (size_t i = 0; i < s->cnt; i++)
		on_state(s, &s->targets[i]);
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
	interval_end = ++s->tick % TICKS_PER_INTERVAL == 0;
	sample(s, interval_end);
	if (interval_end && periodic(s))
		report(s, false);
}

static size_t alive_cnt(const struct session *s)
{
	size_t cnt = 0;

	for (size_t i = 0; i < s->cnt; i++)
		cnt += target__alive(&s->targets[i]);
	return cnt;
}

static void on_target(struct session *s, uint32_t what)
{
	struct target *t = &s->targets[what / 2 - 1];

	if (what & 1) {
		target__consume(t);
	} else {
		t->state = t->state == TARGET_EXECED ? t->state : TARGET_GONE;
		epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, t->pidfd, NULL);
	}
	on_state(s, t);
}

int session__launch(struct session *s, char *const argv[])
{
	int err = launch__start(argv, &s->launch);

	if (err) {
		log_error("%s: %s", argv[0], strerror(-err));
		return EXIT_INTERNAL;
	}
	watch(s, launch__fd(s->launch), WATCH_LAUNCH);
	return 0;
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
		if (python && s->cnt < MAX_PROCS)
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

/* The duration is over but the command is not: it goes on untraced, and its status is still ours. */
static void wait_for_command(struct session *s)
{
	struct epoll_event ev;

	while (s->launch && !s->launch_ended) {
		int n = epoll_wait(s->epoll_fd, &ev, 1, -1);

		if (n < 0 && errno != EINTR)
			return;
		if (n == 1 && ev.data.u32 == WATCH_LAUNCH)
			on_launch(s);
		else if (n == 1 && ev.data.u32 == WATCH_SIGNAL)
			on_signal(s);
		else if (n == 1 && ev.data.u32 == WATCH_TIMER)
			epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, s->timer_fd, NULL);
		else if (n == 1)
			epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL,
				  ev.data.u32 & 1 ? tracer__epoll_fd(s->targets[(ev.data.u32 - WATCH_TARGET) / 2 - 1].tracer) :
						    s->targets[(ev.data.u32 - WATCH_TARGET) / 2 - 1].pidfd,
				  NULL);
	}
}

static int finish(struct session *s)
{
	size_t alive = alive_cnt(s);

	/* Stop the traps first: what follows is our time, not the target's. */
	for (size_t i = 0; i < s->cnt; i++)
		tracer__detach(s->targets[i].tracer);
	sample(s, true);
	if (s->cnt)
		report(s, true);
	wait_for_command(s);
	if (s->launch) {
		if (!s->cnt && !s->started_nothing) {
			log_error("no Python interpreter was started: nothing to report");
			s->exit_code = s->exit_code ? s->exit_code : EXIT_UNSUPPORTED;
		}
		return s->launch_status ? s->launch_status : s->exit_code;
	}
	if (!s->exit_code && !alive)
		s->exit_code = EXIT_TARGET;
	return s->exit_code;
}

/* Until the duration is over: 0. -1: no end is set. */
static int time_left_ms(const struct session *s)
{
	double left = s->o->duration_s * 1e3 - (clock_ns(CLOCK_MONOTONIC) - s->start_ns) / 1e6;

	if (!s->o->duration_s)
		return -1;
	return left <= 0 ? 0 : left > 3600000 ? 3600000 : (int)left + 1;
}

int session__run(struct session *s)
{
	struct epoll_event evs[16];

	for (size_t i = 0; i < s->cnt; i++)
		announce(s, &s->targets[i]); /* only now that all probes are active */
	s->start_ns = s->last_report_ns = clock_ns(CLOCK_MONOTONIC);
	arm(s);
	while (!s->stop && (s->launch ? !s->launch_ended : alive_cnt(s) > 0)) {
		int n = epoll_wait(s->epoll_fd, evs, 16, time_left_ms(s));

		if (n < 0 && errno != EINTR)
			return EXIT_INTERNAL;
		if (!time_left_ms(s))
			break; /* the last report samples anew */
		for (int i = 0; i < n; i++) {
			if (evs[i].data.u32 == WATCH_TIMER)
				on_timer(s);
			else if (evs[i].data.u32 == WATCH_SIGNAL)
				on_signal(s);
			else if (evs[i].data.u32 == WATCH_LAUNCH)
				on_launch(s);
			else
				on_target(s, evs[i].data.u32 - WATCH_TARGET);
		}
	}
	return finish(s);
}
