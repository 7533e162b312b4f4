// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "gate_listen.h"
#include "gate_priv.h"
#include "gate_witness.h"
#include "keeper.h"
#include "log.h"
#include "procfs.h"
#include "python.h"
#include "redirect.h"
#include "run_timer.h"
#include "thread.h"

#define SKIP_PIECES 2      /* from one wait to the next one */
#define UNMET_EVERY 8      /* openings: how often there are probes where none was met lately, too */
#define ENTRY_MARGIN 1.15  /* measured in a tight loop; in a program that does something between, caches are colder */
#define IDLE_TICK_MS 1000
#define WAIT_MIN_MS 20
#define JITTER_MS 100
#define AIM_WINDOW_NS 50000000.0
#define AIM_PIECES 4       /* from one wait to the next one: they need not all be the same */
#define AIM_MOST_NS 5e9
#define AIM_STEP_NS 500000.0
#define AIM_HURRY_MS 40
#define HOT_TOOK_NEW 0.3
#define AIM_COST_SHARE 8   /* of what an opening may spend: for hits while the moment is waited for */
#define AIM_PRICE_NEW 0.3  /* how much the last wait tells of what the next one will cost */
#define AIM_SHARE_MAX 0.5  /* of one CPU */
#define TAIL_MAX_NS 3000000000ULL
#define TAIL_TIMES 3
#define WITNESSES_MAX 65536
#define WITNESSED_MAX 4096 /* of one burst */
#define QUIET_STEP_NS 200000
#define QUIET_STEPS_MAX 15
#define WAITS_MOST_NS 1000000 /* asking for them must not take longer while probes are in place */
#define TRY_STEP_NS 200000
#define TRY_STEPS 15         /* 3 ms: what is not met in that time is not met all the time */
#define TRY_COST_NS 500000   /* a hundred hits */
#define TRY_PAUSE_NS 3000000
#define TRY_HURRY_MS 500
#define READY_MOST_NS 5000000000ULL /* a few percent of a processor of ours meanwhile */

/* CPU time of the process, all threads; as it was when it has ended. */
uint64_t gate__cpu_ns(struct gate *g)
{
	struct timespec ts;

	if (!clock_gettime(g->cpu_clock, &ts))
		__atomic_store_n(&g->last_cpu_ns, ts.tv_sec * 1000000000ULL + ts.tv_nsec, __ATOMIC_RELAXED);
	return g->last_cpu_ns;
}

uint32_t gate__phase(const struct gate *g)
{
	return __atomic_load_n(&g->state->phase, __ATOMIC_ACQUIRE);
}

bool gate__stopping(const struct gate *g)
{
	return __atomic_load_n(&g->stop, __ATOMIC_ACQUIRE);
}

void gate__wait_ms(struct gate *g, double ms)
{
	struct pollfd fd = { .fd = g->wake_fd, .events = POLLIN };
	uint64_t n;

	if (poll(&fd, 1, ms < 1 ? 1 : (int)ms) > 0 && read(g->wake_fd, &n, sizeof(n)) < 0)
		log_debug("gate: %s", strerror(errno));
}

/* For the time since this was called last. SPENT_NS: of the opening that is going on. */
static void earn(struct gate *g, double spent_ns)
{
	uint64_t now = clock__now_ns(), cpu = g->last_cpu_ns;

	g->idle = gate__cpu_ns(g) - cpu < (now - g->earned_ns) / 1000;
	spending__earn(&g->money, now - g->earned_ns, spent_ns);
	g->earned_ns = now;
}

static double random_share(void)
{
	uint32_t bits;

	return getrandom(&bits, sizeof(bits), GRND_NONBLOCK) == sizeof(bits) ? bits / 4294967296.0 : 0.5;
}

/* WAITS: those, too; 0: not asked for, or the kernel does not tell. */
static struct load load_of(struct gate *g, bool waits)
{
	struct load now = { clock__now_ns(), gate__cpu_ns(g), 0 };

	if (waits && procfs__waits(g->proc.pid, &now.waits))
		now.waits = 0;
	return now;
}

static double waits_between(const struct load *from, const struct load *to)
{
	return from->waits && to->waits ? (double)since(to->waits, from->waits) : -1;
}

/* What the process has done since BEFORE, so far as the money is concerned. At the first opening nothing is known. */
static struct load measure_load(struct gate *g, const struct load *before)
{
	struct load now = load_of(g, true);
	double time = since(now.ns, before->ns), spent = since(now.cpu_ns, before->cpu_ns), pieces;

	g->waits_dear = since(clock__now_ns(), now.ns) > WAITS_MOST_NS;
	pieces = fmax(since(now.waits, before->waits), 1);
	g->money.busy = g->openings && time > 0 ? fmin(spent / time, 1) : 1;
	g->money.pieces_per_ns = g->openings && time > 0 && spent <= time * AIM_SHARE_MAX ? pieces / time : 0;
	return now;
}

/* Until something may be done: a lookout, or LOOKOUT_KINDS: an opening. What is longer not done is first, if both may be. */
static enum lookout wait_for_money(struct gate *g, bool looked_out)
{
	enum lookout what = LOOKOUT_KINDS;

	while (!gate__stopping(g)) {
		double ms;

		if (g->openings == 1) /* the second one is to be as rare as the others */
			measure_load(g, &g->aimed);
		earn(g, 0);
		ms = spending__wait_ns(&g->money) / 1e6;
		what = !looked_out || ms > 0 ? gate__next_lookout(g) : LOOKOUT_KINDS;
		if (what != LOOKOUT_KINDS)
			ms = spending__lookout_wait_ns(&g->money, g->lookouts_slow[what]) / 1e6;
		if (ms <= 0)
			break;
		gate__wait_ms(g, ms < WAIT_MIN_MS ? WAIT_MIN_MS : ms > IDLE_TICK_MS ? IDLE_TICK_MS : ms);
	}
	if (!gate__stopping(g)) /* out of step with what the process does at regular times */
		gate__wait_ms(g, JITTER_MS * random_share());
	return what;
}

static void *close_links(void *arg)
{
	struct closing *c = arg;

	uprobe_links__close(&c->links);
	return NULL;
}

/* The breakpoints are gone at once; that the kernel then waits for others need not hold us up. */
void gate__close_soon(struct closing *c, struct uprobe_links *links)
{
	c->links = *links;
	*links = (struct uprobe_links){};
	c->running = c->links.cnt && !thread__start(&c->thread, close_links, c);
	if (!c->running)
		uprobe_links__close(&c->links);
}

void gate__await_closed(struct gate *g)
{
	for (int i = 0; i < CLOSINGS; i++) {
		if (g->closing[i].running)
			pthread_join(g->closing[i].thread, NULL);
		g->closing[i].running = false;
	}
}

/* Until the process meets no probe any more, or seldom. */
static void await_quiet(const struct gate *g)
{
	const struct timespec step = { .tv_nsec = QUIET_STEP_NS };
	uint64_t cost, before = UINT64_MAX;

	for (int i = 0; i < QUIET_STEPS_MAX && (cost = g->state->cost_ns) != before; i++) {
		before = cost;
		nanosleep(&step, NULL);
	}
}

uint64_t gate__left_for_burst(struct gate *g, uint64_t cost)
{
	double spent = since(cost, g->open_cost_ns);

	earn(g, spent);
	return spending__burst_ns(&g->money, spent);
}

/* More may be spent, as more was earned; not if the programs have just ended the burst and set the limit of the tail. */
static void set_limit(struct gate *g)
{
	uint64_t limit = __atomic_load_n(&g->state->limit_ns, __ATOMIC_ACQUIRE), cost = g->state->cost_ns;
	uint64_t next = cost + gate__left_for_burst(g, cost);

	if (gate__phase(g) == GATE_BURST && !g->state->skip)
		__atomic_compare_exchange_n(&g->state->limit_ns, &limit, next, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* From one wait of the process to the next one, since this was asked last: its run time, of which a little is ours. 0: it is at work anyway. */
static double measure_piece(struct gate *g, double *window_ns)
{
	struct load before = g->aimed;
	double time, spent, pieces;

	g->aimed = measure_load(g, &before);
	time = since(g->aimed.ns, before.ns);
	spent = since(g->aimed.cpu_ns, before.cpu_ns);
	pieces = fmax(since(g->aimed.waits, before.waits), 1);
	if (time <= 0 || spent > time * AIM_SHARE_MAX)
		return 0;
	*window_ns = fmin(fmax(spent / time * AIM_WINDOW_NS, AIM_PIECES * spent / pieces), spent);
	g->aim_most_ns = fmin(fmax(2 * *window_ns * time / fmax(spent, 1), AIM_WINDOW_NS), AIM_MOST_NS);
	return spent / pieces;
}

/* At least: what is uncharged of tracing is in the time that an event seems to take. Beyond the end of a piece, the next one is met. */
static double allocs_of(const struct gate *g, double piece_ns)
{
	return SKIP_PIECES * piece_ns / work__event_ns(&g->work);
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
 * last tick. 1: there; 0: it has not run for so long; -errno: it cannot be told.
 */
static int aim(struct gate *g, double window)
{
	const double most = spending__stretch_ns(&g->money) / AIM_COST_SHARE, after = fmin(window, most / fmax(g->aim_price, 1e-9)) * random_share();
	const uint64_t cost = g->state->cost_ns, start = clock__now_ns(), end = start + g->aim_most_ns;
	uint64_t now = start, n;
	double ran = 0, step = fmin(after, AIM_STEP_NS);
	int err = run_timer__start(g->timer, step);

	while (!err && !gate__stopping(g) && now < end && since(g->state->cost_ns, cost) < most) {
		keeper__hurry(AIM_HURRY_MS + HURRY_MS); /* the probes must be there at once when it is there */
		err = run_timer__await(g->timer, fmin(end - now, AIM_HURRY_MS * 1e6), g->wake_fd);
		now = clock__now_ns();
		if (err == -ECANCELED && read(g->wake_fd, &n, sizeof(n)) < 0)
			log_debug("gate: %s", strerror(errno));
		if (!err) {
			ran += step;
			step = fmin(after - ran, AIM_STEP_NS);
			if (step < 1) {
				ran = after;
				break;
			}
			err = run_timer__start(g->timer, step);
		} else if (err == -ETIMEDOUT || err == -ECANCELED) {
			err = 0;
		}
	}
	if (ran > 0)
		g->aim_price += (since(g->state->cost_ns, cost) / ran - g->aim_price) * AIM_PRICE_NEW;
	log_debug("process %d: opening at %.3f of %.3f ms, ran %.3f ms in %.1f ms, cost %.3f ms: %s", g->proc.pid, after / 1e6, window / 1e6, ran / 1e6,
		  since(now, start) / 1e6, since(g->state->cost_ns, cost) / 1e6, err ? strerror(-err) : ran >= after ? "met" : "in vain");
	return err ?: ran >= after;
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

/* While it runs for this share of the time. */
void gate__charge_places(struct gate *g, size_t cnt, double running)
{
	pthread_mutex_lock(&g->lock);
	spending__place(&g->money, cnt, running);
	pthread_mutex_unlock(&g->lock);
}

/* Those that it meets all the time; HALT: see engine.h. */
static int place_hot(struct gate *g, bool halt)
{
	const struct gate_process *p = &g->proc;
	size_t before = gate_links__places(&g->links);
	uint64_t start = clock__now_ns();
	int err = engine__open_gate(p->engine, p->allocators, p->path, p->pid, halt, &g->links);

	if (err)
		return err;
	gate__charge_places(g, gate_links__places(&g->links) - before, halt ? 1 : g->money.busy);
	g->hot_took_ns += (since(clock__now_ns(), start) - g->hot_took_ns) * HOT_TOOK_NEW;
	return 0;
}

/*
 * Of a process that mostly waits, at a moment of its work. Where its pieces of work are longer than placing takes, that is where the last ones are placed.
 * Where they are shorter, all are in place before: then tables that are redirected there do it, as far as hits until then can be paid for; or
 * allocations are skipped.
 */
static int place_probes(struct gate *g, double piece, double window)
{
	const struct gate_process *p = &g->proc;
	bool fits = piece > g->hot_took_ns; /* once the first of them is placed it gets no further */
	int met = -ENODATA, err;

	/* beforehand, as it may take longer than the probes are to be in place */
	if (g->openings && piece > 0 && (fits || begins_with_tables(g)) && run_timer__new(p->pid, &g->timer))
		g->timer = NULL;
	spending__begin(&g->money);
	keeper__hurry(HURRY_MS);
	err = engine__prepare_gate(p->engine, p->allocators, p->path, p->pid, g->openings % UNMET_EVERY == 0, &g->links);
	if (err)
		return err;
	gate__charge_places(g, gate_links__places(&g->links), g->money.busy);
	if (g->timer && fits)
		met = aim(g, window);
	err = place_hot(g, met > 0);
	if (err)
		return err;
	if (g->timer && !fits)
		met = aim(g, window);
	if (g->openings && piece > 0 && met < 0)
		spending__skip(&g->money, allocs_of(g, piece), g->burst_allocs);
	return 0;
}

/* From here on what it does, and what that costs, is of this opening. */
void gate__begin_stretch(struct gate *g, bool waits)
{
	struct gate_state *s = g->state;

	g->opened = load_of(g, waits);
	s->tail_ns = spending__tail_ns(&g->money);
	s->last_ns = g->opened.ns;
	s->piece_from_ns = s->cost_ns;
	s->dearest_ns = 0;
}

/*
 * Placing all of the free lists' places takes a while, and a process that is at work hits those over and over that it meets all the time, unless they
 * come last: so which these are is found out beforehand, a few at a time.
 */
static void try_places(struct gate *g)
{
	const struct timespec step = { .tv_nsec = TRY_STEP_NS }, pause = { .tv_nsec = TRY_PAUSE_NS };
	const struct gate_process *p = &g->proc;
	struct uprobe_links links = {};
	size_t first = 0;
	int cnt;

	keeper__hurry(TRY_HURRY_MS);
	while ((cnt = engine__try_places(p->engine, p->path, p->pid, first, &links)) > 0) {
		const uint64_t before = g->state->cost_ns;
		double hits, placing;

		for (int i = 0; i < TRY_STEPS && since(g->state->cost_ns, before) < TRY_COST_NS; i++)
			nanosleep(&step, NULL);
		uprobe_links__close(&links);
		hits = since(g->state->cost_ns, before);
		placing = spending__owe(&g->money, cnt, g->money.busy, hits);
		g->longest_pause_ns = fmax(g->longest_pause_ns, hits + placing);
		log_debug("process %d: tried %d places from %zu on: hits %.3f ms, placing %.3f ms", p->pid, cnt, first, hits / 1e6, placing / 1e6);
		first += cnt;
		nanosleep(&pause, NULL);
	}
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
	err = place_probes(g, piece, window);
	if (err)
		goto out;
	g->money.early_ns = since(s->cost_ns, g->open_cost_ns);
	gate__begin_stretch(g, !g->waits_dear);
	s->skip = g->money.skip_allocs * random_share();
	s->skip_ns = s->skip * spending__skip_ns(&g->money);
	s->started = 0;
	g->before = *s;
	s->limit_ns = s->cost_ns + gate__left_for_burst(g, s->cost_ns) + s->skip_ns;
	if (s->limit_ns == s->cost_ns) /* hits before have cost it all: nothing will be recorded, and there is no end of it to be seen */
		s->tail_ns = 0;
	log_debug("process %d: opening %llu: %.2f ms saved, %.2f ms for the burst, %.2f ms for the tail; placing %.2f ms, hits before %.2f ms, late %.2f ms", g->proc.pid,
		  (unsigned long long)g->openings + 1, g->money.bank_ns / 1e6, (s->limit_ns - s->cost_ns) / 1e6, s->tail_ns / 1e6, g->money.placing_ns / 1e6,
		  g->money.early_ns / 1e6, g->money.late_ns / 1e6);
	notice_gils(g);
	pthread_mutex_lock(&g->lock);
	g->burst_from_ns = g->opened.ns;
	pthread_mutex_unlock(&g->lock);
	__atomic_store_n(&s->phase, GATE_BURST, __ATOMIC_RELEASE);
	redirect__hold(g->proc.redirect);
	g->openings++;
out:
	run_timer__free(g->timer);
	g->timer = NULL;
	return err;
}

/* Before it begins, removing stays quick for a while: a burst may be shorter than what the kernel needs to get ready for that. */
static void burst(struct gate *g)
{
	const uint64_t ready_until = clock__now_ns() + READY_MOST_NS;
	double step_ms = HURRY_MS;
	bool begun = false;

	while (!gate__stopping(g) && gate__phase(g) == GATE_BURST) {
		bool begins = !begun, ready = begins && clock__now_ns() < ready_until;

		gate__wait_ms(g, ready ? step_ms : g->idle ? IDLE_TICK_MS : TICK_MS);
		begun = __atomic_load_n(&g->state->started, __ATOMIC_RELAXED);
		if (begins && (begun || ready))
			keeper__hurry(begun ? HURRY_MS : TICK_MS + HURRY_MS);
		step_ms = TICK_MS;
		set_limit(g);
	}
}

/* In the tail: what was read is what was recorded, or its end has been seen. */
void gate__read_witnesses(struct gate *g, enum gate_phase phase)
{
	struct gate_witness *list = malloc(WITNESSED_MAX * sizeof(*list)), *all;
	size_t cnt = list ? gate_witness__read(g->proc.engine, g->proc.slot, g->proc.pid, g->opened.ns, list, WITNESSED_MAX) : 0;
	bool late = gate__phase(g) != phase;

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
	while (!gate__stopping(g) && gate__phase(g) == GATE_TAIL && now < end) {
		gate__wait_ms(g, (end - now) / 1e6);
		now = clock__now_ns();
	}
	__atomic_store_n(&g->state->phase, GATE_SHUT, __ATOMIC_RELEASE);
}

/* Its own run time since the last burst: without tails, and what was paid while probes were placed and removed. */
static double unseen_ns(const struct gate *g, uint64_t cpu_ns, uint64_t cost_ns)
{
	return fmax((double)since(cpu_ns, g->burst_end.cpu_ns) - since(cost_ns, g->burst_end_cost_ns), 0);
}

/* What it did unseen since the burst before this one. */
static double unseen_before(const struct gate *g)
{
	return g->openings > 1 ? unseen_ns(g, g->opened.cpu_ns, g->before.cost_ns) : 0;
}

/* Run time of the process itself in the burst, and what the tail tells. */
static double own_time(struct gate *g, const struct load *end)
{
	const struct gate_state *now = g->state, *before = &g->before;
	double cost = since(now->burst_cost_ns, before->burst_cost_ns), tail_cost = since(now->cost_ns, before->cost_ns) - cost;
	const struct work_burst burst = {
		.cpu_ns = since(end->cpu_ns, g->opened.cpu_ns),
		.cost_ns = cost,
		.allocs = since(now->burst_allocs, before->burst_allocs),
		.mostly_waits = g->money.pieces_per_ns > 0,
		.waits = waits_between(&g->opened, end),
		.unseen_ns = unseen_before(g),
		.unseen_waits = waits_between(&g->burst_end, &g->opened),
	};

	work__tail(&g->work, since(now->tail_busy_ns, before->tail_busy_ns) - tail_cost, since(now->tail_frees, before->tail_frees));
	log_debug("process %d: opening %llu: %.3f ms of CPU in the burst, %.0f waits; %.0f waits unseen%s", g->proc.pid, (unsigned long long)g->openings, burst.cpu_ns / 1e6,
		  burst.waits, burst.unseen_waits, burst.mostly_waits ? "" : "; it is at work all the time");
	return work__own_ns(&g->work, &burst);
}

/* Pieces of work from the begin of the opening until now. The burst was over at END; in the tail they come as they always do. */
static double pieces_in_opening(const struct gate *g, const struct load *end)
{
	double waits = waits_between(&g->opened, end);

	return 1 + (waits < 0 ? since(g->state->pauses, g->before.pauses) : waits) + g->money.pieces_per_ns * since(clock__now_ns(), end->ns);
}

/* What tracing has taken from one wait of the process to the next one, at most. */
double gate__dearest_piece_ns(const struct gate *g)
{
	return fmax(g->state->dearest_ns, since(g->state->cost_ns, g->state->piece_from_ns));
}

/* BURST_END: when, and at which CPU time and cost. */
static void account(struct gate *g, const struct load *burst_end, uint64_t burst_end_cost_ns, double own)
{
	uint64_t end_ns = clock__now_ns(), cost = since(g->state->cost_ns, g->open_cost_ns), wall = end_ns - g->opened.ns;
	double unseen = unseen_before(g);
	uint64_t allocs = since(g->state->burst_allocs, g->before.burst_allocs);
	uint64_t end_cpu_ns = gate__cpu_ns(g), slowed = since(end_cpu_ns, g->opened.cpu_ns);
	double weight;

	own = fmax(own, 1000);
	/* Waiting for a processor is not our doing; of many threads each is slowed. */
	slowed = slowed < wall ? slowed : wall;
	weight = fmax((unseen + own) / own, 1);
	spending__end(&g->money, cost);
	spending__slowed(&g->money, pieces_in_opening(g, burst_end));
	log_debug("process %d: opening %llu: %.1f ms of %.1f ms burst, cost %.2f ms of %.2f ms in the burst, %llu allocations, %llu frees in the tail, "
		  "%llu pauses, skip up to %.0f, own time %.3f ms of %.1f ms, weight %.1f", g->proc.pid, (unsigned long long)g->openings, (burst_end->ns - g->opened.ns) / 1e6, wall / 1e6,
		  since(g->state->burst_cost_ns, g->before.burst_cost_ns) / 1e6, cost / 1e6,
		  (unsigned long long)allocs,
		  (unsigned long long)since(g->state->tail_frees, g->before.tail_frees),
		  (unsigned long long)since(g->state->pauses, g->before.pauses), g->money.skip_allocs, own / 1e6, unseen / 1e6, weight);
	pthread_mutex_lock(&g->lock);
	if (allocs) { /* else the next burst stands for the time since the one before, too */
		g->burst_end = *burst_end;
		g->burst_end_cost_ns = burst_end_cost_ns;
		g->burst_allocs = allocs;
		gate_cycles__add(&g->bursts, burst_end->ns, weight);
		g->own_ns += unseen + own;
		g->sampled_ns += own;
	}
	gate__add_burst(g);
	pthread_mutex_unlock(&g->lock);
	g->slowed_ns = g->money.placing_ns / 2; /* once before, once after */
	if (cost > slowed / 2)
		g->slowed_ns = fmin(slowed + g->money.early_ns, 2 * gate__dearest_piece_ns(g)) + g->money.placing_ns;
}

/* Hits of probes that were being removed belong to the same stretch. */
void gate__note_pause(struct gate *g, const char *what, double late_ns)
{
	pthread_mutex_lock(&g->lock);
	if (g->slowed_ns + late_ns > g->longest_pause_ns)
		g->longest_pause_ns = g->slowed_ns + late_ns;
	pthread_mutex_unlock(&g->lock);
	log_debug("process %d: %s %llu: slowed for %.2f ms, and %.2f ms while probes were removed", g->proc.pid, what, (unsigned long long)g->openings,
		  g->slowed_ns / 1e6, late_ns / 1e6);
}

static void open_once(struct gate *g)
{
	uint64_t end_cost_ns, shut_cost_ns;
	double own, late;
	struct load end;

	burst(g);
	end = load_of(g, !g->waits_dear);
	end_cost_ns = g->state->cost_ns;
	keeper__hurry(HURRY_MS);
	gate__close_soon(&g->closing[0], &g->links.makes);
	pthread_mutex_lock(&g->lock);
	g->burst_to_ns = end.ns;
	pthread_mutex_unlock(&g->lock);
	if (!gate__stopping(g)) {
		gate__read_witnesses(g, GATE_TAIL);
		pthread_mutex_lock(&g->lock);
		g->shut_ns = g->shut_ns ?: end.ns;
		pthread_mutex_unlock(&g->lock);
		tail(g, end.ns - g->opened.ns);
	}
	__atomic_store_n(&g->state->phase, GATE_SHUT, __ATOMIC_RELEASE);
	redirect__release(g->proc.redirect);
	gate_links__sort(g->proc.engine, &g->links);
	gate__close_soon(&g->closing[1], &g->links.ends);
	own = own_time(g, &end);
	account(g, &end, end_cost_ns, own);
	shut_cost_ns = g->state->cost_ns;
	if (g->links.unmet.cnt)
		await_quiet(g);
	gate__close_soon(&g->closing[2], &g->links.unmet);
	gate__await_closed(g);
	late = since(g->state->cost_ns, shut_cost_ns);
	spending__late(&g->money, late);
	gate__note_pause(g, "opening", late);
}

static void *run(void *arg)
{
	struct gate *g = arg;

	thread__hurry(); /* what this does late is slowed time of the process */
	while (!gate__stopping(g) && !g->err) {
		enum lookout what;

		open_once(g);
		for (bool looked_out = false; (what = wait_for_money(g, looked_out)) != LOOKOUT_KINDS && !gate__stopping(g); looked_out = true)
			gate__look_out(g, what);
		g->err = gate__stopping(g) ? 0 : open_gate(g);
	}
	if (g->err)
		log_warn("process %d: the probes cannot be placed again: %s", g->proc.pid, strerror(-g->err));
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
	g->state = &engine__state(proc->engine, proc->slot)->gate;
	pthread_mutex_init(&g->lock, NULL);
	g->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (g->wake_fd < 0)
		goto fail;
	err = -clock_getcpuclockid(proc->pid, &g->cpu_clock);
	if (err)
		goto fail;
	g->start_cpu_ns = gate__cpu_ns(g);
	g->earned_ns = g->recorded_ns[LOOKOUT_CLASSES] = clock__now_ns();
	g->state->entry_ns = cost->emulated_ns * ENTRY_MARGIN;
	g->money = (struct spending){
		.budget = opts->budget,
		.max_pause_ns = opts->max_pause_ns,
		.place_ns = cost->place_ns,
		.hit_ns = g->state->entry_ns,
		.busy = 1, /* not known yet */
	};
	g->work.hit_ns = g->state->entry_ns;
	g->state->return_ns = fmax(cost->returned_ns - cost->emulated_ns, 0) * ENTRY_MARGIN;
	err = gates__listen(all, proc->engine, proc->slot, g->wake_fd);
	if (!err)
		try_places(g);
	err = err ?: open_gate(g);
	err = err ?: thread__start(&g->thread, run, g);
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
	gate_links__close(&g->links);
	gates__ignore(g->all, g->proc.engine, g->proc.slot);
}

void gate__free(struct gate *g)
{
	if (!g)
		return;
	gate__stop(g);
	if (g->wake_fd >= 0)
		close(g->wake_fd);
	pthread_mutex_destroy(&g->lock);
	gate_cycles__free(&g->bursts);
	for (int i = 0; i < LOOKOUT_KINDS; i++)
		gate_cycles__free(&g->lookouts[i]);
	free(g->witnesses);
	free(g);
}

/* Of the process's own run time: with what no opening is accounted for yet. */
static double sampled_fraction(const struct gate *g, uint64_t cpu)
{
	bool recording = gate__phase(g) == GATE_BURST;
	double cost = since(g->state->burst_cost_ns, g->before.burst_cost_ns), sampled = recording ? since(cpu, g->opened.cpu_ns) - cost : 0;
	double unseen = unseen_ns(g, recording ? g->opened.cpu_ns : cpu, recording ? g->before.cost_ns : g->state->cost_ns);

	if (!g->shut_ns || g->own_ns <= 0)
		return 1;
	sampled = fmax(sampled, 0);
	return (g->sampled_ns + sampled) / (g->own_ns + sampled + unseen);
}

void gate__stats(struct gate *g, struct gate_stats *out)
{
	uint64_t cpu = gate__cpu_ns(g);
	const struct gate_state *s = g->state;

	pthread_mutex_lock(&g->lock);
	*out = (struct gate_stats){
		.openings = g->openings,
		.lookouts = g->lookout_cnt,
		.cost_ns = s->cost_ns + g->money.placed_ns,
		.cpu_ns = since(cpu, g->start_cpu_ns),
		.longest_pause_ns = g->longest_pause_ns,
		.fraction = sampled_fraction(g, cpu),
		.ever_shut = g->shut_ns != 0,
	};
	pthread_mutex_unlock(&g->lock);
}

double gate__weight(struct gate *g, uint64_t birth_ns)
{
	double weight;

	pthread_mutex_lock(&g->lock);
	weight = gate_cycles__weight(&g->bursts, birth_ns);
	pthread_mutex_unlock(&g->lock);
	return weight;
}
