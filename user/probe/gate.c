// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "clock.h"
#include "engine.h"
#include "gate.h"
#include "keeper.h"
#include "log.h"
#include "pool.h"
#include "procfs.h"
#include "python.h"
#include "redirect.h"
#include "remote.h"
#include "run_timer.h"

#define STRETCH_SHARE 0.75 /* of the longest pause: what an opening may spend; the rest is for what comes late */
#define BANK_STRETCHES 2   /* may be saved: what is earned while the right moment is waited for, and while probes are placed, is not lost */
#define LATE_KEPT 0.8      /* of what is thought to come late, at each opening */
/*
 * Of the budget. The rest is for what is not charged; and with a small budget slowed stretches must stay rarer than one request in a hundred.
 * Who allows more has more of them anyway.
 */
#define SPENT_SHARE_SMALL 0.5
#define SPENT_SHARE_LARGE 0.7
#define BUDGET_SMALL 0.01
#define BUDGET_LARGE 0.05
#define SKIP_PIECES 2      /* from one wait to the next one */
#define SKIP_NS 1200.0     /* what skipping one allocation costs, about */
#define ENTRY_MARGIN 1.15  /* measured in a tight loop; in a program that does something between, caches are colder */
#define TICK_MS 100
#define IDLE_TICK_MS 1000
#define WAIT_MIN_MS 20
#define JITTER_MS 100
#define AIM_WINDOW_NS 50000000.0
#define AIM_PIECES 4       /* from one wait to the next one: they need not all be the same */
#define AIM_MOST_NS 5e9
#define AIM_STEP_NS 500000.0
#define AIM_COST_SHARE 8   /* of what an opening may spend: for hits while the moment is waited for */
#define AIM_PRICE_NEW 0.3  /* how much the last wait tells of what the next one will cost */
#define AIM_SHARE_MAX 0.5  /* of one CPU */
#define TAIL_MIN_NS 20000000ULL
#define TAIL_MAX_NS 3000000000ULL
#define TAIL_TIMES 3
#define CLOCK_AGE_NS 5e6   /* the CPU clock of another process may be as old as a tick, at the begin and at the end */
#define OWN_NS_MIN 15.0    /* an allocation and what the program does with it cannot take less */
#define CYCLES_MAX 65536
#define WITNESSES_MAX 65536
#define WITNESSED_MAX 4096 /* of one burst */
#define HURRY_MS 12          /* most openings of a process at work are over by then */
#define STACK_BYTES (256 << 10)

/*
 * What the parts of an opening may spend of it; a tenth is for hits while probes are placed and removed. The survey finds what ends after the tail. Where
 * pieces of work are longer than can be skipped with that, most goes into getting to their end: see choose_skip().
 */
struct shares {
	double skip, burst, tail;
};
static const struct shares usual = { 0.3, 0.3, 0.3 }, deep = { 0.6, 0.25, 0.05 };

/* Hands on what the programs of one engine tell. */
struct listener {
	struct engine *engine;
	struct ring_buffer *ring;
	pthread_t thread;
	bool running;
	struct gates *all;
	struct gate *by_slot[MAX_PROCS];
};

struct gates {
	pthread_mutex_t lock;
	struct listener **listeners;
	size_t cnt;
	bool stop;
};

/* What was recorded since the cycle before stands for WEIGHT times as much. */
struct cycle {
	uint64_t to_ns;
	double weight;
};

struct closing {
	pthread_t thread;
	bool running;
	struct uprobe_links links;
};

struct gate {
	struct gates *all;
	struct listener *listener;
	struct gate_process proc;
	struct gate_opts opts;
	struct gate_state *state; /* shared with the programs */
	clockid_t cpu_clock;
	pthread_t thread;
	bool running, stop;
	int wake_fd;
	struct uprobe_links makes, ends;
	struct closing closing[2];
	double bank_ns;           /* may be spent */
	double late_ns;           /* what hits cost while probes are being removed, about: the worst of late */
	uint64_t earned_ns;       /* until when time has been turned into money */
	/* of the opening that is going on */
	uint64_t open_ns, open_cpu_ns, open_cost_ns;
	uint64_t burst_end_cpu_ns, burst_end_cost_ns; /* of the one before, while it is shut */
	struct gate_state before;  /* counters when it began */
	const struct shares *shares;
	uint64_t slowed_ns;        /* how long it lasted, if most of that was tracing */
	uint64_t aimed_ns, aimed_cpu_ns, aimed_waits; /* time, CPU time and how often it had waited when a moment was chosen last */
	struct run_timer *timer;   /* while a moment is waited for */
	double aim_most_ns;        /* for how long it is waited for */
	double aim_price;          /* of waiting for it: cost by run time, as some probes are hit before the tables are redirected */
	double skip_most, burst_allocs; /* allocations: not recorded before the next burst, at most; in the last one */
	double tail_own_ns, tail_frees; /* sums: one tail alone says little */
	bool idle;
	pthread_mutex_t lock;      /* of what follows */
	struct cycle *cycles;
	size_t cycles_cnt, cycles_capacity;
	struct gate_witness *witnesses;
	size_t witnesses_cnt;
	uint64_t start_cpu_ns, last_cpu_ns, longest_pause_ns, openings;
	double own_ns, sampled_ns; /* run time of the process without tracing: all, and in bursts */
	bool ever_shut;
	int err;
};

static int on_event(void *ctx, void *data, size_t size)
{
	struct listener *l = ctx;
	const struct plain_event *ev = data;
	const uint64_t one = 1;

	if (size < sizeof(*ev) || ev->slot >= MAX_PROCS)
		return 0;
	pthread_mutex_lock(&l->all->lock);
	if (l->by_slot[ev->slot] && write(l->by_slot[ev->slot]->wake_fd, &one, sizeof(one)) < 0)
		log_debug("cannot wake a gate: %s", strerror(errno));
	pthread_mutex_unlock(&l->all->lock);
	return 0;
}

/* What comes late is slowed time of the process: before everything else, where that is allowed. */
static void hurry(void)
{
	const struct sched_param param = { .sched_priority = 1 };

	pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);
}

static void *listen_to(void *arg)
{
	struct listener *l = arg;

	hurry();
	while (!__atomic_load_n(&l->all->stop, __ATOMIC_ACQUIRE))
		if (ring_buffer__poll(l->ring, 500) < 0 && errno != EINTR)
			break;
	return NULL;
}

static int start_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	err = -pthread_create(thread, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return err;
}

struct gates *gates__new(void)
{
	struct gates *all = calloc(1, sizeof(*all));

	if (all)
		pthread_mutex_init(&all->lock, NULL);
	return all;
}

static void free_listener(struct listener *l)
{
	if (l->running)
		pthread_join(l->thread, NULL);
	ring_buffer__free(l->ring);
	free(l);
}

void gates__free(struct gates *all)
{
	if (!all)
		return;
	__atomic_store_n(&all->stop, true, __ATOMIC_RELEASE);
	for (size_t i = 0; i < all->cnt; i++)
		free_listener(all->listeners[i]);
	free(all->listeners);
	pthread_mutex_destroy(&all->lock);
	free(all);
}

static struct listener *listener_of(struct gates *all, struct engine *e)
{
	struct listener **list, *l;

	for (size_t i = 0; i < all->cnt; i++)
		if (all->listeners[i]->engine == e)
			return all->listeners[i];
	list = realloc(all->listeners, (all->cnt + 1) * sizeof(*list));
	if (!list)
		return NULL;
	all->listeners = list;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->engine = e;
	l->all = all;
	l->ring = ring_buffer__new(engine__gate_fd(e), on_event, l, NULL);
	l->running = l->ring && !start_thread(&l->thread, listen_to, l);
	if (!l->running) {
		free_listener(l);
		return NULL;
	}
	list[all->cnt++] = l;
	return l;
}

static void set_listening(struct gate *g, bool on)
{
	pthread_mutex_lock(&g->all->lock);
	g->listener->by_slot[g->proc.slot] = on ? g : NULL;
	pthread_mutex_unlock(&g->all->lock);
}

/* CPU time of the process, all threads; as it was when it has ended. */
static uint64_t cpu_ns(struct gate *g)
{
	struct timespec ts;

	if (!clock_gettime(g->cpu_clock, &ts))
		__atomic_store_n(&g->last_cpu_ns, ts.tv_sec * 1000000000ULL + ts.tv_nsec, __ATOMIC_RELAXED);
	return g->last_cpu_ns;
}

static double stretch_ns(const struct gate *g)
{
	double most = g->opts.max_pause_ns * STRETCH_SHARE;

	return fmax(most - g->late_ns, most / 4);
}

/* What is earned in one nanosecond. */
static double income(const struct gate *g)
{
	double large = (g->opts.budget - BUDGET_SMALL) / (BUDGET_LARGE - BUDGET_SMALL);

	large = fmin(fmax(large, 0), 1);
	return g->opts.budget * (SPENT_SHARE_SMALL + large * (SPENT_SHARE_LARGE - SPENT_SHARE_SMALL));
}

static uint32_t phase_of(const struct gate *g)
{
	return __atomic_load_n(&g->state->phase, __ATOMIC_ACQUIRE);
}

static bool stopping(const struct gate *g)
{
	return __atomic_load_n(&g->stop, __ATOMIC_ACQUIRE);
}

static void wait_ms(struct gate *g, double ms)
{
	struct pollfd fd = { .fd = g->wake_fd, .events = POLLIN };
	uint64_t n;

	if (poll(&fd, 1, ms < 1 ? 1 : (int)ms) > 0 && read(g->wake_fd, &n, sizeof(n)) < 0)
		log_debug("gate: %s", strerror(errno));
}

static uint64_t since(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

/* What may be spent for the time since this was asked last. */
static double earn(struct gate *g)
{
	uint64_t now = clock__now_ns(), cpu = g->last_cpu_ns;
	double earned = (now - g->earned_ns) * income(g);

	g->idle = cpu_ns(g) - cpu < (now - g->earned_ns) / 1000;
	g->earned_ns = now;
	return earned;
}

static double random_share(void)
{
	uint32_t bits;

	return getrandom(&bits, sizeof(bits), GRND_NONBLOCK) == sizeof(bits) ? bits / 4294967296.0 : 0.5;
}

static void wait_for_money(struct gate *g)
{
	while (!stopping(g)) {
		double missing, ms;

		g->bank_ns = fmin(g->bank_ns + earn(g), BANK_STRETCHES * stretch_ns(g));
		missing = stretch_ns(g) - g->bank_ns;
		if (missing <= 0)
			break;
		ms = missing / income(g) / 1e6;
		wait_ms(g, ms < WAIT_MIN_MS ? WAIT_MIN_MS : ms > IDLE_TICK_MS ? IDLE_TICK_MS : ms);
	}
	if (!stopping(g)) /* out of step with what the process does at regular times */
		wait_ms(g, JITTER_MS * random_share());
}

static void *close_links(void *arg)
{
	struct closing *c = arg;

	uprobe_links__close(&c->links);
	return NULL;
}

/* The breakpoints are gone at once; that the kernel then waits for others need not hold us up. */
static void close_soon(struct closing *c, struct uprobe_links *links)
{
	c->links = *links;
	*links = (struct uprobe_links){};
	c->running = c->links.cnt && !start_thread(&c->thread, close_links, c);
	if (!c->running)
		uprobe_links__close(&c->links);
}

static void await_closed(struct gate *g)
{
	for (int i = 0; i < 2; i++) {
		if (g->closing[i].running)
			pthread_join(g->closing[i].thread, NULL);
		g->closing[i].running = false;
	}
}

/* What may still be spent, and of that in the burst: the tail must be paid for, too. */
static uint64_t left_for_burst(struct gate *g, uint64_t cost)
{
	double spent = since(cost, g->open_cost_ns), left;

	g->bank_ns = fmin(g->bank_ns + earn(g), BANK_STRETCHES * stretch_ns(g) + spent);
	left = g->bank_ns - spent - stretch_ns(g) * (g->shares->tail + g->shares->skip);
	return left <= 0 ? 0 : fmin(left, stretch_ns(g) * g->shares->burst);
}

/* More may be spent, as more was earned; not if the programs have just ended the burst and set the limit of the tail. */
static void set_limit(struct gate *g)
{
	uint64_t limit = __atomic_load_n(&g->state->limit_ns, __ATOMIC_ACQUIRE), cost = g->state->cost_ns;
	uint64_t next = cost + left_for_burst(g, cost);

	if (phase_of(g) == GATE_BURST && !g->state->skip)
		__atomic_compare_exchange_n(&g->state->limit_ns, &limit, next, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* From one wait of the process to the next one, since this was asked last: its run time, of which a little is ours. 0: it is at work anyway. */
static double measure_piece(struct gate *g, double *window_ns)
{
	uint64_t now = clock__now_ns(), cpu = cpu_ns(g), waits;
	double time = since(now, g->aimed_ns), spent = since(cpu, g->aimed_cpu_ns), pieces;

	if (procfs__waits(g->proc.pid, &waits))
		waits = g->aimed_waits;
	pieces = fmax(since(waits, g->aimed_waits), 1);
	g->aimed_ns = now;
	g->aimed_cpu_ns = cpu;
	g->aimed_waits = waits;
	if (time <= 0 || spent > time * AIM_SHARE_MAX)
		return 0;
	*window_ns = fmin(fmax(spent / time * AIM_WINDOW_NS, AIM_PIECES * spent / pieces), spent);
	g->aim_most_ns = fmin(fmax(2 * *window_ns * time / fmax(spent, 1), AIM_WINDOW_NS), AIM_MOST_NS);
	return spent / pieces;
}

static double own_ns_per_event(const struct gate *g)
{
	return fmax(g->tail_frees > 100 ? g->tail_own_ns / g->tail_frees : 0, OWN_NS_MIN);
}

/*
 * Opened while the process waits, a burst begins with its next piece of work. Where bursts end before that does, they begin later, by a random number of
 * the allocations that it makes; those cost, too.
 */
static void choose_skip(struct gate *g, double piece_ns)
{
	/* At least: what is uncharged of tracing is in the time that an event seems to take. Beyond the end of a piece, the next one is met. */
	const double all = stretch_ns(g) / SKIP_NS, piece = SKIP_PIECES * piece_ns / own_ns_per_event(g);

	g->shares = piece > all * usual.skip ? &deep : &usual;
	g->skip_most = piece > g->burst_allocs ? fmin(piece, all * g->shares->skip) : 0;
}

/* Do most hits begin with the redirection of the tables, as calls are inlined? Then the moment can be chosen, and probes cost little before. */
static bool begins_with_tables(const struct gate *g)
{
	const struct allocators *a = g->proc.allocators;

	for (int t = TABLE_MEM; t <= TABLE_OBJ; t++) {
		if (!a->slots[t][OP_MALLOC].redirect || !a->slots[t][OP_FREE].redirect)
			return false;
	}
	return g->proc.redirect != NULL;
}

/*
 * To a moment at random in the run time of a process that mostly waits: every part of its work is then as likely to be in a burst as any
 * other. One that is at work most of the time is met at work anyway. Its CPU clock would not do: of a process that is running that was set at the
 * last tick.
 */
static bool aim(struct gate *g, double window)
{
	const double most = stretch_ns(g) / AIM_COST_SHARE, after = fmin(window, most / fmax(g->aim_price, 1e-9)) * random_share();
	const uint64_t cost = g->state->cost_ns, start = clock__now_ns(), end = start + g->aim_most_ns;
	uint64_t now = start, n;
	double ran = 0, step;
	int err = 0;

	while (!stopping(g) && now < end && ran < after && since(g->state->cost_ns, cost) < most) {
		step = fmin(after - ran, AIM_STEP_NS);
		err = run_timer__wait(g->timer, step, end - now, g->wake_fd);
		if (err == -ECANCELED && read(g->wake_fd, &n, sizeof(n)) < 0)
			log_debug("gate: %s", strerror(errno));
		if (err && err != -ETIMEDOUT && err != -ECANCELED)
			break;
		ran += err ? 0 : step;
		now = clock__now_ns();
	}
	if (ran > 0)
		g->aim_price += (since(g->state->cost_ns, cost) / ran - g->aim_price) * AIM_PRICE_NEW;
	log_debug("process %d: opening at %.3f of %.3f ms, ran %.3f ms in %.1f ms, cost %.3f ms: %s", g->proc.pid, after / 1e6, window / 1e6, ran / 1e6,
		  since(now, start) / 1e6, since(g->state->cost_ns, cost) / 1e6, err ? strerror(-err) : "met");
	return !err || err == -ETIMEDOUT || err == -ECANCELED;
}

/* Interpreters that were made while no probe was there to see it. */
static void notice_gils(struct gate *g)
{
	struct proc_state *state = engine__state(g->proc.engine, g->proc.slot);

	if (state->other_gils || !py_interp__other_gils(g->proc.py))
		return;
	state->strays = 1;
	__atomic_store_n(&state->other_gils, 1, __ATOMIC_RELEASE);
}

static int open_gate(struct gate *g)
{
	struct gate_state *s = g->state;
	double window = 0, piece;
	int err;

	g->open_cost_ns = s->cost_ns;
	s->opening++;
	s->limit_ns = UINT64_MAX;
	piece = measure_piece(g, &window);
	/* beforehand, as it may take longer than the probes are to be in place */
	if (g->openings && piece > 0 && begins_with_tables(g) && run_timer__new(g->proc.pid, &g->timer))
		g->timer = NULL;
	keeper__hurry(HURRY_MS);
	err = engine__open_gate(g->proc.engine, g->proc.allocators, g->proc.path, g->proc.pid, &g->makes, &g->ends);
	if (err)
		goto out;
	g->skip_most = 0;
	g->shares = &usual;
	if (g->openings && piece > 0 && !(g->timer && aim(g, window)))
		choose_skip(g, piece);
	s->tail_ns = stretch_ns(g) * g->shares->tail;
	g->open_ns = s->last_ns = clock__now_ns();
	g->open_cpu_ns = cpu_ns(g);
	s->skip = g->skip_most * random_share();
	s->skip_ns = s->skip * SKIP_NS;
	s->started = 0;
	s->piece_from_ns = s->cost_ns;
	s->dearest_ns = 0;
	g->before = *s;
	s->limit_ns = s->cost_ns + left_for_burst(g, s->cost_ns) + s->skip_ns;
	notice_gils(g);
	__atomic_store_n(&s->phase, GATE_BURST, __ATOMIC_RELEASE);
	redirect__hold(g->proc.redirect);
	g->openings++;
out:
	run_timer__free(g->timer);
	g->timer = NULL;
	return err;
}

static void burst(struct gate *g)
{
	bool hurried = false;

	while (!stopping(g) && phase_of(g) == GATE_BURST) {
		wait_ms(g, g->idle ? IDLE_TICK_MS : TICK_MS);
		if (!hurried && __atomic_load_n(&g->state->started, __ATOMIC_RELAXED)) {
			hurried = true;
			keeper__hurry(HURRY_MS);
		}
		set_limit(g);
	}
}

static size_t list_recorded(const struct gate *g, struct gate_witness *out)
{
	uint32_t since_birth = g->open_ns >> BIRTH_SHIFT;
	const struct young *young;
	size_t places, cnt = 0;

	young = engine__young(g->proc.engine, g->proc.slot, &places);
	for (size_t i = 0; i < places && cnt < WITNESSED_MAX; i++) {
		block_key key = __atomic_load_n(&young[i].key, __ATOMIC_ACQUIRE);
		const struct block b = young[i].block;

		if (!key || b.birth < since_birth || BLOCK_SIZE(b.size_domain) > POOL_BLOCK_MAX_BYTES || BLOCK_DOMAIN(b.size_domain) != DOMAIN_OBJ)
			continue;
		if (__atomic_load_n(&young[i].key, __ATOMIC_ACQUIRE) == key)
			out[cnt++] = (struct gate_witness){ .addr = BLOCK_KEY_ADDR(key), .birth = b.birth, .size = BLOCK_SIZE(b.size_domain) };
	}
	return cnt;
}

static size_t read_recorded(const struct gate *g, struct gate_witness *list, size_t cnt)
{
	struct remote_item *items = calloc(cnt ? cnt : 1, sizeof(*items));
	const struct remote mem = remote__process(g->proc.pid);
	size_t kept = 0;

	for (size_t i = 0; items && i < cnt; i++)
		items[i] = (struct remote_item){ list[i].addr, list[i].bytes, list[i].size < GATE_WITNESS_BYTES ? list[i].size : GATE_WITNESS_BYTES, 0 };
	if (!items || remote__read_many(&mem, items, cnt))
		cnt = 0;
	for (size_t i = 0; i < cnt; i++)
		if (items[i].ok)
			list[kept++] = list[i];
	free(items);
	return kept;
}

/* In the tail: what was read is what was recorded, or its end has been seen. */
static void take_witnesses(struct gate *g)
{
	struct gate_witness *list = malloc(WITNESSED_MAX * sizeof(*list)), *all;
	size_t cnt = list ? read_recorded(g, list, list_recorded(g, list)) : 0;
	bool late = phase_of(g) != GATE_TAIL;

	log_debug("process %d: opening %llu: %zu witnesses%s", g->proc.pid, (unsigned long long)g->openings, cnt, late ? ", too late" : "");
	for (size_t i = 0; i < cnt; i++)
		list[i].late = late;
	pthread_mutex_lock(&g->lock);
	all = !cnt || g->witnesses_cnt + cnt > WITNESSES_MAX ? NULL : realloc(g->witnesses, (g->witnesses_cnt + cnt) * sizeof(*all));
	if (all) {
		memcpy(all + g->witnesses_cnt, list, cnt * sizeof(*all));
		g->witnesses = all;
		g->witnesses_cnt += cnt;
	}
	pthread_mutex_unlock(&g->lock);
	free(list);
}

size_t gate__take_witnesses(struct gate *g, struct gate_witness **out)
{
	size_t cnt;

	pthread_mutex_lock(&g->lock);
	cnt = g->witnesses_cnt;
	*out = g->witnesses;
	g->witnesses = NULL;
	g->witnesses_cnt = 0;
	pthread_mutex_unlock(&g->lock);
	return cnt;
}

static void tail(struct gate *g, uint64_t burst_ns)
{
	uint64_t most = burst_ns * TAIL_TIMES, end = clock__now_ns(), now = end;

	end += most < TAIL_MIN_NS ? TAIL_MIN_NS : most > TAIL_MAX_NS ? TAIL_MAX_NS : most;
	while (!stopping(g) && phase_of(g) == GATE_TAIL && now < end) {
		wait_ms(g, (end - now) / 1e6);
		now = clock__now_ns();
	}
	__atomic_store_n(&g->state->phase, GATE_SHUT, __ATOMIC_RELEASE);
}

/*
 * Run time of the process itself in the burst. Where tracing is most of what it did, the difference of two large numbers is no measure: then
 * by allocations, and what one takes as seen in the tail, in which a smaller part is tracing. A steady program frees as often as it allocates.
 */
static double own_time(struct gate *g, uint64_t cpu)
{
	const struct gate_state *now = g->state, *before = &g->before;
	double cost = since(now->burst_cost_ns, before->burst_cost_ns), own = since(cpu, g->open_cpu_ns) - cost;
	double allocs = since(now->burst_allocs, before->burst_allocs), frees = since(now->tail_frees, before->tail_frees);
	double tail_cost = since(now->cost_ns, before->cost_ns) - cost;

	g->tail_own_ns += since(now->tail_busy_ns, before->tail_busy_ns) - tail_cost;
	g->tail_frees += frees;
	if (own > cost + CLOCK_AGE_NS)
		return own;
	return allocs * own_ns_per_event(g);
}

static int keep_cycle(struct gate *g, const struct cycle *cycle)
{
	if (g->cycles_cnt == CYCLES_MAX) {
		memmove(g->cycles, g->cycles + CYCLES_MAX / 2, CYCLES_MAX / 2 * sizeof(*g->cycles));
		g->cycles_cnt = CYCLES_MAX / 2;
	}
	if (g->cycles_cnt == g->cycles_capacity) {
		size_t capacity = g->cycles_capacity ? 2 * g->cycles_capacity : 64;
		struct cycle *cycles = realloc(g->cycles, capacity * sizeof(*cycles));

		if (!cycles)
			return -ENOMEM;
		g->cycles = cycles;
		g->cycles_capacity = capacity;
	}
	g->cycles[g->cycles_cnt++] = *cycle;
	return 0;
}

/* Its own run time since the last burst: without tails, and what was paid while probes were placed and removed. */
static double unseen_ns(const struct gate *g, uint64_t cpu_ns, uint64_t cost_ns)
{
	return fmax((double)since(cpu_ns, g->burst_end_cpu_ns) - since(cost_ns, g->burst_end_cost_ns), 0);
}

/* What tracing has taken from one wait of the process to the next one, at most. */
static double dearest_piece_ns(const struct gate *g)
{
	return fmax(g->state->dearest_ns, since(g->state->cost_ns, g->state->piece_from_ns));
}

/* BURST_END: when, and at which CPU time and cost. */
static void account(struct gate *g, uint64_t burst_end_ns, uint64_t burst_end_cpu_ns, uint64_t burst_end_cost_ns, double own)
{
	uint64_t end_ns = clock__now_ns(), cost = since(g->state->cost_ns, g->open_cost_ns), wall = end_ns - g->open_ns;
	uint64_t placing = since(g->before.cost_ns, g->open_cost_ns); /* hits of probes while others were still to be placed */
	/* what it did unseen since the burst before this one */
	double unseen = g->openings > 1 ? unseen_ns(g, g->open_cpu_ns, g->before.cost_ns) : 0;
	uint64_t allocs = since(g->state->burst_allocs, g->before.burst_allocs);
	uint64_t end_cpu_ns = cpu_ns(g), slowed = since(end_cpu_ns, g->open_cpu_ns);
	struct cycle cycle = { burst_end_ns, 1 };

	own = fmax(own, 1000);
	/* Waiting for a processor is not our doing; of many threads each is slowed. */
	slowed = slowed < wall ? slowed : wall;
	cycle.weight = fmax((unseen + own) / own, 1);
	g->bank_ns -= cost;
	log_debug("process %d: opening %llu: %.1f ms of %.1f ms burst, cost %.2f ms of %.2f ms in the burst, %llu allocations, %llu frees in the tail, "
		  "%llu pauses, skip up to %.0f, own time %.3f ms of %.1f ms, weight %.1f", g->proc.pid, (unsigned long long)g->openings, (burst_end_ns - g->open_ns) / 1e6, wall / 1e6,
		  since(g->state->burst_cost_ns, g->before.burst_cost_ns) / 1e6, cost / 1e6,
		  (unsigned long long)allocs,
		  (unsigned long long)since(g->state->tail_frees, g->before.tail_frees),
		  (unsigned long long)since(g->state->pauses, g->before.pauses), g->skip_most, own / 1e6, unseen / 1e6, cycle.weight);
	pthread_mutex_lock(&g->lock);
	if (allocs) { /* else the next burst stands for the time since the one before, too */
		g->burst_end_cpu_ns = burst_end_cpu_ns;
		g->burst_end_cost_ns = burst_end_cost_ns;
		g->burst_allocs = allocs;
		keep_cycle(g, &cycle);
		g->own_ns += unseen + own;
		g->sampled_ns += own;
	}
	pthread_mutex_unlock(&g->lock);
	g->slowed_ns = cost > slowed / 2 ? fmin(slowed + placing, 2 * dearest_piece_ns(g)) : 0;
}

/* Hits of probes that were being removed belong to the same stretch. */
static void account_late(struct gate *g, uint64_t shut_cost_ns)
{
	double late = since(g->state->cost_ns, shut_cost_ns);

	g->bank_ns -= late;
	g->late_ns = fmax(late, g->late_ns * LATE_KEPT);
	pthread_mutex_lock(&g->lock);
	if (g->slowed_ns + late > g->longest_pause_ns)
		g->longest_pause_ns = g->slowed_ns + late;
	pthread_mutex_unlock(&g->lock);
	log_debug("process %d: opening %llu: slowed for %.2f ms, and %.2f ms while probes were removed", g->proc.pid, (unsigned long long)g->openings,
		  g->slowed_ns / 1e6, late / 1e6);
}

static void open_once(struct gate *g)
{
	uint64_t burst_end_ns, burst_end_cpu_ns, burst_end_cost_ns, shut_cost_ns;
	double own;

	burst(g);
	burst_end_ns = clock__now_ns();
	burst_end_cpu_ns = cpu_ns(g);
	burst_end_cost_ns = g->state->cost_ns;
	keeper__hurry(HURRY_MS);
	close_soon(&g->closing[0], &g->makes);
	if (!stopping(g)) {
		take_witnesses(g);
		pthread_mutex_lock(&g->lock);
		g->ever_shut = true;
		pthread_mutex_unlock(&g->lock);
		tail(g, burst_end_ns - g->open_ns);
	}
	__atomic_store_n(&g->state->phase, GATE_SHUT, __ATOMIC_RELEASE);
	redirect__release(g->proc.redirect);
	close_soon(&g->closing[1], &g->ends);
	own = own_time(g, burst_end_cpu_ns);
	account(g, burst_end_ns, burst_end_cpu_ns, burst_end_cost_ns, own);
	shut_cost_ns = g->state->cost_ns;
	await_closed(g);
	account_late(g, shut_cost_ns);
}

static void *run(void *arg)
{
	struct gate *g = arg;

	hurry();
	while (!stopping(g)) {
		open_once(g);
		wait_for_money(g);
		if (stopping(g))
			break;
		g->err = open_gate(g);
		if (g->err) {
			log_warn("process %d: the probes cannot be placed again: %s", g->proc.pid, strerror(-g->err));
			break;
		}
	}
	return NULL;
}

int gate__new(struct gates *all, const struct gate_process *proc, const struct gate_opts *opts, const struct tracer_cost *cost,
	      struct gate **out)
{
	struct gate *g = calloc(1, sizeof(*g));
	int err = -ENOMEM;

	if (!g)
		return err;
	g->all = all;
	g->proc = *proc;
	g->opts = *opts;
	g->state = &engine__state(proc->engine, proc->slot)->gate;
	pthread_mutex_init(&g->lock, NULL);
	g->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	g->listener = listener_of(all, proc->engine);
	if (g->wake_fd < 0 || !g->listener)
		goto fail;
	err = -clock_getcpuclockid(proc->pid, &g->cpu_clock);
	if (err)
		goto fail;
	g->start_cpu_ns = cpu_ns(g);
	g->earned_ns = clock__now_ns();
	g->shares = &usual;
	g->bank_ns = stretch_ns(g); /* the first opening is on credit */
	g->state->entry_ns = cost->emulated_ns * ENTRY_MARGIN;
	g->state->return_ns = fmax(cost->returned_ns - cost->emulated_ns, 0) * ENTRY_MARGIN;
	set_listening(g, true);
	err = open_gate(g);
	err = err ?: start_thread(&g->thread, run, g);
	if (err)
		goto fail;
	g->running = true;
	*out = g;
	return 0;
fail:
	gate__free(g);
	return err;
}

void gate__ask_to_stop(struct gate *g)
{
	const uint64_t one = 1;

	if (!g)
		return;
	__atomic_store_n(&g->stop, true, __ATOMIC_RELEASE);
	if (g->running && write(g->wake_fd, &one, sizeof(one)) < 0)
		log_debug("cannot wake a gate: %s", strerror(errno)); /* it looks by itself within a second */
}

void gate__stop(struct gate *g)
{
	if (!g)
		return;
	gate__ask_to_stop(g);
	if (g->running)
		pthread_join(g->thread, NULL);
	g->running = false;
	g->state->phase = GATE_SHUT;
	redirect__release(g->proc.redirect);
	g->proc.redirect = NULL; /* may be gone when this is called again */
	uprobe_links__close(&g->makes);
	uprobe_links__close(&g->ends);
	if (g->listener)
		set_listening(g, false);
}

void gate__free(struct gate *g)
{
	if (!g)
		return;
	gate__stop(g);
	if (g->wake_fd >= 0)
		close(g->wake_fd);
	pthread_mutex_destroy(&g->lock);
	free(g->cycles);
	free(g->witnesses);
	free(g);
}

/* Of the process's own run time: with what no opening is accounted for yet. */
static double sampled_fraction(const struct gate *g, uint64_t cpu)
{
	bool recording = phase_of(g) == GATE_BURST;
	double cost = since(g->state->burst_cost_ns, g->before.burst_cost_ns), sampled = recording ? since(cpu, g->open_cpu_ns) - cost : 0;
	double unseen = unseen_ns(g, recording ? g->open_cpu_ns : cpu, recording ? g->before.cost_ns : g->state->cost_ns);

	if (!g->ever_shut || g->own_ns <= 0)
		return 1;
	sampled = fmax(sampled, 0);
	return (g->sampled_ns + sampled) / (g->own_ns + sampled + unseen);
}

void gate__stats(struct gate *g, struct gate_stats *out)
{
	uint64_t cpu = cpu_ns(g);
	const struct gate_state *s = g->state;

	pthread_mutex_lock(&g->lock);
	*out = (struct gate_stats){
		.openings = g->openings,
		.cost_ns = s->cost_ns,
		.cpu_ns = since(cpu, g->start_cpu_ns),
		.longest_pause_ns = g->longest_pause_ns,
		.fraction = sampled_fraction(g, cpu),
		.ever_shut = g->ever_shut,
	};
	pthread_mutex_unlock(&g->lock);
}

double gate__weight(struct gate *g, uint64_t birth_ns)
{
	double weight = 1;
	size_t lo = 0, hi;

	pthread_mutex_lock(&g->lock);
	hi = g->cycles_cnt;
	while (lo < hi) { /* the first that ended at or after it */
		size_t mid = (lo + hi) / 2;

		if (g->cycles[mid].to_ns < birth_ns)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < g->cycles_cnt)
		weight = g->cycles[lo].weight;
	else if (g->cycles_cnt) /* the one that is going on: it will be about as the one before */
		weight = g->cycles[g->cycles_cnt - 1].weight;
	pthread_mutex_unlock(&g->lock);
	return weight;
}
