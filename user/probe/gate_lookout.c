// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>
#include <string.h>

#include "clock.h"
#include "engine.h"
#include "gate_priv.h"
#include "keeper.h"
#include "log.h"
#include "redirect.h"

#define LOOKOUT_NS 2000000000ULL
#define SLOWED_MOST 8   /* times */
#define BURST_WEIGHT_MOST 10 /* more: what is large is left to lookouts */
/* What a lookout has taken from the process is more than is charged, by as much as the bar for that allows: give or take COST_DOUBT of it. */
#define COST_TIMES 1.25
#define COST_DOUBT 0.25

enum lookout gate__next_lookout(struct gate *g)
{
	bool classes, large;

	pthread_mutex_lock(&g->lock);
	classes = g->sought_cnt;
	large = g->large_min;
	pthread_mutex_unlock(&g->lock);
	if (!classes && !large)
		return LOOKOUT_KINDS;
	return large && (!classes || g->lookout == LOOKOUT_CLASSES) ? LOOKOUT_LARGE : LOOKOUT_CLASSES;
}

/* The programs are told what this one is for. False: it is sought no more. */
static bool take_sought(struct gate *g)
{
	struct gate_state *s = g->state;

	pthread_mutex_lock(&g->lock);
	memset(s->sought, 0, sizeof(s->sought));
	memcpy(s->sought, g->sought, g->sought_cnt * sizeof(*s->sought));
	s->large_min = g->lookout == LOOKOUT_LARGE ? g->large_min : 0;
	pthread_mutex_unlock(&g->lock);
	return g->lookout == LOOKOUT_LARGE ? s->large_min : s->sought[0].type;
}

static int attach_lookout(struct gate *g)
{
	const struct gate_process *p = &g->proc;

	if (g->lookout == LOOKOUT_CLASSES)
		return engine__attach_maker(p->engine, p->path, p->pid, &g->links.makes);
	engine__state(p->engine, p->slot)->mixed = 1; /* what a burst knows as the object domains' is met as raw */
	redirect__hold(p->redirect);
	return engine__attach_large(p->engine, p->allocators, p->path, p->pid, &g->links.makes);
}

static int begin_lookout(struct gate *g)
{
	struct gate_state *s = g->state;
	int err;

	g->open_cost_ns = s->cost_ns;
	s->limit_ns = UINT64_MAX;
	spending__begin_lookout(&g->money);
	keeper__hurry(HURRY_MS);
	s->opening++;
	err = attach_lookout(g);
	if (err)
		return err;
	gate__charge_places(g, gate_links__places(&g->links), g->money.busy);
	gate__begin_stretch(g, false);
	s->limit_ns = s->cost_ns + gate__left_for_burst(g, s->cost_ns);
	__atomic_store_n(&s->phase, GATE_LOOKOUT, __ATOMIC_RELEASE);
	return 0;
}

/* Until the programs have seen so much that it has cost what it may, or for LOOKOUT_NS; then as long again what has ended of that is noticed. */
static void watch_makers(struct gate *g)
{
	struct gate_state *s = g->state;
	uint64_t end = g->opened.ns + LOOKOUT_NS;
	uint32_t phase = GATE_LOOKOUT;

	while (!gate__stopping(g) && gate__phase(g) == GATE_LOOKOUT && clock__now_ns() < end)
		gate__wait_ms(g, TICK_MS);
	if (__atomic_compare_exchange_n(&s->phase, &phase, GATE_LOOKOUT_TAIL, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
		s->recorded_ns = clock__now_ns();
		s->recorded_cost_ns = s->cost_ns;
		__atomic_store_n(&s->limit_ns, s->cost_ns + s->tail_ns, __ATOMIC_RELEASE);
	}
	end = clock__now_ns() + fmax(since(s->recorded_ns, g->opened.ns), TAIL_MIN_NS);
	while (!gate__stopping(g) && __atomic_load_n(&s->limit_ns, __ATOMIC_ACQUIRE) != UINT64_MAX && clock__now_ns() < end)
		gate__wait_ms(g, fmin((end - clock__now_ns()) / 1e6, TICK_MS));
}

/* The time that the process had for itself in one that lasted so long. */
static double own_time(double lasted_ns, double cost_ns)
{
	return fmax(fmax(lasted_ns - cost_ns * COST_TIMES, lasted_ns / SLOWED_MOST), 1);
}

/*
 * What was recorded stands for the time since the lookout before. While it was recorded the process was slowed by what that cost (1.3 times what was charged of four
 * threads at work all the time, by counting what they made).
 */
static void account_lookout(struct gate *g)
{
	const uint64_t recorded_ns = g->state->recorded_ns;
	double cost = since(g->state->cost_ns, g->open_cost_ns), ran = since(gate__cpu_ns(g), g->opened.cpu_ns), lasted = since(recorded_ns, g->opened.ns);
	double recording = since(g->state->recorded_cost_ns, g->open_cost_ns), own = own_time(lasted, recording);
	double weight;

	g->lookouts_slow[g->lookout] = spending__end_lookout(&g->money, cost, ran, gate__dearest_piece_ns(g));
	pthread_mutex_lock(&g->lock);
	weight = fmax(since(recorded_ns, g->recorded_ns[g->lookout]) / own, 1);
	if (recorded_ns > g->recorded_ns[g->lookout]) { /* else they were asked for anew meanwhile */
		gate_cycles__add(&g->lookouts[g->lookout], recorded_ns, weight);
		g->recorded_ns[g->lookout] = recorded_ns;
	}
	if (g->lookout == LOOKOUT_LARGE) {
		g->large_doubt_ns += fmin(recording * COST_DOUBT, own);
		g->large_own_ns += own;
	}
	g->lookout_cnt++;
	pthread_mutex_unlock(&g->lock);
	g->slowed_ns = (cost > ran / 2 ? fmin(ran, 2 * gate__dearest_piece_ns(g)) : 0) + g->money.placing_ns;
	log_debug("process %d: lookout for %s: %.1f ms of %.1f ms, cost %.3f ms of %.1f ms of CPU, weight %.1f%s", g->proc.pid, g->lookout == LOOKOUT_LARGE ? "large blocks" : "classes",
		  lasted / 1e6,
		  since(clock__now_ns(), g->opened.ns) / 1e6, cost / 1e6, ran / 1e6, weight, g->lookouts_slow[g->lookout] ? "; slows single requests" : "");
}

static void end_lookout(struct gate *g)
{
	gate__read_witnesses(g, GATE_LOOKOUT_TAIL);
	pthread_mutex_lock(&g->lock);
	g->lookout_end_ns = clock__now_ns();
	pthread_mutex_unlock(&g->lock);
}

/*
 * For a while there is a probe on what makes instances only. Most programs make few of these among all that they allocate, so that for the same price
 * far more of those that are sought are met than in a burst.
 */
void gate__look_out(struct gate *g, enum lookout what)
{
	uint64_t end_cost_ns;
	double late;
	int err;

	g->lookout = what;
	if (!take_sought(g))
		return;
	err = begin_lookout(g);
	if (err) { /* bursts do without, and are next */
		g->lookouts_slow[g->lookout] = true;
		redirect__release(g->proc.redirect);
		log_debug("process %d: no lookout: %s", g->proc.pid, strerror(-err));
		return;
	}
	watch_makers(g);
	if (!gate__stopping(g)) /* else what was recorded has no witness, and will not count */
		end_lookout(g);
	__atomic_store_n(&g->state->phase, GATE_SHUT, __ATOMIC_RELEASE);
	redirect__release(g->proc.redirect);
	end_cost_ns = g->state->cost_ns;
	keeper__hurry(HURRY_MS);
	gate__close_soon(&g->closing[0], &g->links.makes);
	account_lookout(g);
	gate__await_closed(g);
	late = since(g->state->cost_ns, end_cost_ns);
	spending__end(&g->money, late); /* says nothing of how late many probes come */
	gate__note_pause(g, "lookout after opening", late);
}

uint64_t gate__lookout_end(struct gate *g)
{
	uint64_t ns;

	pthread_mutex_lock(&g->lock);
	ns = g->lookout_end_ns;
	pthread_mutex_unlock(&g->lock);
	return ns;
}

void gate__seek(struct gate *g, const struct sought *list, size_t cnt, uint64_t large_min, bool large_known)
{
	pthread_mutex_lock(&g->lock);
	if (large_min && !g->large_min) { /* the first time for all that was not recorded, but not for what bursts know */
		large_known |= g->recorded_ns[LOOKOUT_LARGE] > 0;
		g->recorded_ns[LOOKOUT_LARGE] = large_known ? clock__now_ns() : g->shut_ns;
		gate_cycles__add(&g->lookouts[LOOKOUT_LARGE], g->recorded_ns[LOOKOUT_LARGE], 0);
	}
	g->large_min = large_min;
	g->sought_cnt = cnt < SOUGHT_MAX ? cnt : SOUGHT_MAX;
	memcpy(g->sought, list, g->sought_cnt * sizeof(*list));
	pthread_mutex_unlock(&g->lock);
}

double gate__sought_weight(struct gate *g, uint64_t birth_ns, enum lookout what)
{
	double weight;

	pthread_mutex_lock(&g->lock);
	weight = gate_cycles__weight(&g->lookouts[what], birth_ns);
	pthread_mutex_unlock(&g->lock);
	return weight;
}

double gate__large_doubt(struct gate *g)
{
	double doubt;

	pthread_mutex_lock(&g->lock);
	doubt = g->large_own_ns > 0 ? g->large_doubt_ns / g->large_own_ns : 0;
	pthread_mutex_unlock(&g->lock);
	return doubt;
}

/* How much the burst stands for so far, of large blocks; 0: for too little of the time. */
static double burst_weight(const struct gate *g, uint64_t to_ns)
{
	const uint64_t before = g->recorded_ns[LOOKOUT_LARGE], from = g->burst_from_ns > before ? g->burst_from_ns : before;
	double lasted = since(to_ns, g->burst_from_ns), cost = since(g->state->burst_cost_ns, g->before.burst_cost_ns), weight;

	if (to_ns <= from)
		return 0;
	weight = fmax(since(to_ns, before) / (own_time(lasted, cost) * since(to_ns, from) / lasted), 1);
	return weight > BURST_WEIGHT_MOST ? 0 : weight;
}

void gate__add_burst(struct gate *g)
{
	double weight = g->large_min ? burst_weight(g, g->burst_to_ns) : 0;

	if (weight > 0) {
		gate_cycles__add_burst(&g->lookouts[LOOKOUT_LARGE], g->burst_from_ns - BIRTH_NS, g->burst_to_ns, weight);
		g->recorded_ns[LOOKOUT_LARGE] = g->burst_to_ns;
	}
	g->burst_from_ns = g->burst_to_ns = 0;
}

double gate__large_weight(struct gate *g, uint64_t birth_ns)
{
	const struct gate_cycles *cycles = &g->lookouts[LOOKOUT_LARGE];
	double weight;

	pthread_mutex_lock(&g->lock);
	if (gate_cycles__covers(cycles, birth_ns))
		weight = gate_cycles__burst_weight(cycles, birth_ns);
	else if (!g->large_min || birth_ns <= g->recorded_ns[LOOKOUT_LARGE])
		weight = gate_cycles__weight(&g->bursts, birth_ns);
	else
		weight = g->burst_from_ns && birth_ns + BIRTH_NS > g->burst_from_ns ? burst_weight(g, g->burst_to_ns ?: clock__now_ns()) : 0;
	pthread_mutex_unlock(&g->lock);
	return weight;
}
