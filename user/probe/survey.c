// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "heap.h"
#include "held.h"
#include "large.h"
#include "libc_heap.h"
#include "log.h"
#include "map.h"
#include "object.h"
#include "pool.h"
#include "procfs.h"
#include "python.h"
#include "replaced.h"
#include "sought.h"
#include "survey.h"
#include "tracer.h"

#define CONTENT_BYTES 64
#define READ_AT_ONCE 4096
#define READING_SHARE 0.04    /* of one CPU, ours */
#define HELD_SHARE 0.02       /* of one CPU, ours */
#define HELD_EVERY_NS 4000000000ULL
#define HELD_MAX_BYTES (256ULL << 20)
#define HELD_KINDS 32         /* those that have gained most */
#define HELD_BLOCKS 8         /* of each */
#define ASKED_KEPT 0.8        /* of what was told, each time: eight blocks alone say little */
#define REPLACED_LOOKS 2      /* until replaced__ask() has an answer, if it is asked at once */
#define GAP_MIN_OBJECTS 32
#define SOUGHT_MIN_OBJECTS 8
#define SOUGHT_ENOUGH 64      /* samples */
#define SOUGHT_IN_VAIN_NS 60000000000ULL
#define SOUGHT_AGAIN_NS 180000000000ULL
#define GHOST_NS 120000000000ULL

/*
 * CHANGING: seen once, or its content is not what it was. GHOST: what is larger than a pymalloc block and is gone. A buffer that grows moves often: the
 * line that moved it last still is the line that holds it.
 */
enum sample_state { NEW, CHANGING, STABLE, GHOST, DEAD };

struct sample {
	uint64_t type;
	uint64_t size, size_now; /* as recorded; what libc says it has grown to */
	uint64_t content; /* hash; 0: not looked at yet */
	uint64_t died_ns;
	uint32_t birth, stack;
	uint32_t kind;    /* index of kinds, NO_KIND: not in the heap */
	float weight;
	uint32_t pass;    /* in which it was met last */
	uint8_t state;
	bool in_heap, moved, sought, witnessed;
};
#define NO_KIND UINT32_MAX

/* A type, or a size of what is no object. */
struct kind_key {
	uint64_t type;
	uint32_t bytes_each, pad;
};

/* By lookouts. */
struct seeking {
	uint64_t since_ns; /* 0: they are not for it */
	bool met;          /* in one, since then */
};

struct kind {
	struct kind_key key;
	int64_t gained, gained_bytes; /* objects that came since the attach and were there at the reading before */
	bool there;                   /* any in this reading */
	int64_t least;                /* live ones, of all readings; -1: none yet */
	double weight[2];             /* of samples that are CHANGING, STABLE */
	uint32_t samples[2];
	double asked, held_by_none;   /* blocks of what was gained: sums in which what was long ago counts less */
	bool garbage;                 /* most of those */
	struct replaced replaced;
	bool is_replaced;             /* most of what was gained */
	bool met;                     /* has gained enough to be asked */
	uint32_t unasked;             /* of what never changes: the passes until it may be known whether it is replaced */
	struct seeking seeking;
};

/* Which object was in a block while its end would still have been seen. */
struct witness {
	uint64_t type; /* 0: none */
	uint32_t birth;
	bool late;     /* none knows */
};

struct survey {
	const struct py_interp *py;
	const struct tracer *tracer;
	struct heap *heap;
	bool heap_known, active;
	struct map samples;  /* block address -> struct sample */
	struct map witnesses; /* block address -> struct witness, of bursts since the last pass */
	struct map kind_ids; /* struct kind_key -> uint32_t */
	struct kind *kinds;
	size_t kinds_cnt, kinds_capacity;
	struct kind others;  /* all that is not in the heap */
	struct large large;
	int64_t anon_at_start;
	double large_doubt;  /* gate__large_doubt() */
	uint64_t read_ns, next_ns, last_cpu_ns;
	uint64_t lookout_end_ns; /* what is sought is witnessed until then */
	uint64_t looks, reused; /* at blocks that had not changed before; of those, blocks that had now */
	uint32_t readings, judged, pass;
	uint64_t held_next_ns, frozen_at_start; /* struct py_gc_mode */
};

static int read_heap(struct survey *s)
{
	uint64_t start = clock__ns(CLOCK_THREAD_CPUTIME_ID), took;
	int err = heap__read(s->heap);

	took = clock__ns(CLOCK_THREAD_CPUTIME_ID) - start;
	s->read_ns = clock__now_ns();
	s->next_ns = s->read_ns + took / READING_SHARE;
	s->heap_known = !err;
	s->readings++;
	log_debug("process %d: heap read in %.1f ms: %s; %zu blocks in the sample", s->py->pid, took / 1e6, err ? strerror(-err) : "fine", s->samples.cnt);
	return err == -ENODATA || err == -ESRCH || err == -EAGAIN ? 0 : err;
}

/* Anonymous memory of the process that is not pymalloc's: what libc has, stacks, and other people's mappings. */
static int64_t other_memory(const struct survey *s)
{
	struct heap_stats heap;

	heap__stats(s->heap, &heap);
	return procfs__anon_bytes(s->py->pid) - (int64_t)heap.pools_bytes;
}

static struct kind *kind_of(struct survey *s, uint64_t type, uint32_t bytes_each, uint32_t *id)
{
	const struct kind_key key = { type, type ? 0 : bytes_each, 0 };
	bool existed;
	uint32_t *found = map__put(&s->kind_ids, &key, &existed);

	if (!found)
		return NULL;
	if (!existed && s->kinds_cnt == s->kinds_capacity) {
		size_t capacity = s->kinds_capacity ? 2 * s->kinds_capacity : 256;
		struct kind *kinds = realloc(s->kinds, capacity * sizeof(*kinds));

		if (!kinds) {
			map__del(&s->kind_ids, &key);
			return NULL;
		}
		s->kinds = kinds;
		s->kinds_capacity = capacity;
	}
	if (!existed) {
		*found = s->kinds_cnt;
		s->kinds[s->kinds_cnt++] = (struct kind){ .key = key, .least = s->readings > 1 ? 0 : -1 };
	}
	*id = *found;
	return &s->kinds[*found];
}

/* What is new since the attach and was there at two readings: what requests hold for a moment is mostly left out. */
static void take_kinds(struct survey *s)
{
	const struct heap_kind *list;
	size_t cnt = s->heap_known ? heap__kinds(s->heap, &list) : 0;

	for (size_t i = 0; i < s->kinds_cnt; i++) {
		s->kinds[i].gained = s->kinds[i].gained_bytes = 0;
		s->kinds[i].there = false;
		memset(s->kinds[i].weight, 0, sizeof(s->kinds[i].weight));
		memset(s->kinds[i].samples, 0, sizeof(s->kinds[i].samples));
	}
	s->others = (struct kind){ .seeking = s->others.seeking };
	large__begin(&s->large, other_memory(s) - s->anon_at_start);
	for (size_t i = 0; i < cnt; i++) {
		uint32_t id;
		struct kind *k = kind_of(s, list[i].type, list[i].bytes_each, &id);
		int64_t stayed;

		if (!k)
			continue;
		k->there = true;
		stayed = list[i].live - (s->readings > 1 ? list[i].fresh : 0);
		k->least = k->least < 0 || stayed < k->least ? stayed : k->least;
		k->gained = list[i].live - list[i].old - list[i].fresh;
		if (k->gained > stayed - k->least) /* the rest has taken the place of older ones, as in a cache */
			k->gained = stayed - k->least;
		k->gained_bytes = list[i].live ? k->gained * (list[i].live_bytes / list[i].live) : 0;
	}
	for (size_t i = 0; i < s->kinds_cnt && s->heap_known; i++)
		if (!s->kinds[i].there)
			s->kinds[i].least = 0;
}

/* What is replaced all the time must not be taken for a leak before it was asked, which takes two looks at the same blocks. */
static void meet_kinds(struct survey *s)
{
	for (size_t i = 0; i < s->kinds_cnt; i++) {
		struct kind *k = &s->kinds[i];

		if (k->met || k->gained < GAP_MIN_OBJECTS)
			continue;
		k->met = true;
		k->unasked = replaced__is_constant(s->py, k->key.type) ? REPLACED_LOOKS : 0;
	}
}

static bool is_passing(const struct kind *k)
{
	return k->garbage || k->is_replaced || k->unasked;
}

/* Some of the blocks that a kind has gained. */
struct inquiry {
	uint32_t kind, seen, cnt;
	uint64_t blocks[HELD_BLOCKS];
};

struct inquiries {
	struct inquiry list[HELD_KINDS];
	size_t cnt;
	uint32_t *of_kind; /* index of LIST + 1; 0: none */
};

/* Of those that have gained most, in that order. */
static void choose_kinds(const struct survey *s, struct inquiries *q)
{
	for (size_t i = 0; i < s->kinds_cnt; i++) {
		size_t at = q->cnt;

		if (s->kinds[i].gained < GAP_MIN_OBJECTS)
			continue;
		while (at > 0 && s->kinds[q->list[at - 1].kind].gained_bytes < s->kinds[i].gained_bytes)
			at--;
		if (at == HELD_KINDS)
			continue;
		q->cnt += q->cnt < HELD_KINDS;
		memmove(q->list + at + 1, q->list + at, (q->cnt - at - 1) * sizeof(*q->list));
		q->list[at] = (struct inquiry){ .kind = i };
	}
	for (size_t i = 0; i < q->cnt; i++)
		q->of_kind[q->list[i].kind] = i + 1;
}

/* Each of those that came since the attach, and were there at the reading before, is as likely to be chosen. */
static void choose_blocks(const struct survey *s, struct inquiries *q)
{
	struct heap_iter it = { 0 };
	struct heap_block b;
	uint64_t state = s->read_ns;

	while (heap__next(s->heap, &it, &b)) {
		const struct kind_key key = { b.type, b.type ? 0 : b.bytes, 0 };
		const uint32_t *id;
		struct inquiry *one;
		uint64_t at;

		if (b.since <= 1 || b.since >= s->readings)
			continue;
		id = map__get(&s->kind_ids, &key);
		if (!id || *id >= s->kinds_cnt || !q->of_kind[*id])
			continue;
		one = &q->list[q->of_kind[*id] - 1];
		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		at = one->cnt < HELD_BLOCKS ? one->cnt++ : (state >> 33) % (one->seen + 1);
		if (at < HELD_BLOCKS)
			one->blocks[at] = b.addr;
		one->seen++;
	}
}

static void ask_who_holds(struct survey *s, const struct inquiries *q)
{
	uint64_t blocks[HELD_KINDS * HELD_BLOCKS];
	bool garbage[HELD_KINDS * HELD_BLOCKS];
	size_t cnt = 0;
	int err;

	for (size_t i = 0; i < q->cnt; i++)
		for (uint32_t k = 0; k < q->list[i].cnt; k++)
			blocks[cnt++] = q->list[i].blocks[k];
	err = heap__garbage(s->heap, s->py, blocks, cnt, HELD_MAX_BYTES, garbage);
	if (err)
		log_debug("process %d: it cannot be told what is garbage: %s", s->py->pid, strerror(-err));
	cnt = 0;
	for (size_t i = 0; i < q->cnt; i++) {
		struct kind *k = &s->kinds[q->list[i].kind];
		uint32_t free = 0;

		for (uint32_t j = 0; j < q->list[i].cnt; j++)
			free += garbage[cnt++];
		k->asked = k->asked * ASKED_KEPT + q->list[i].cnt;
		k->held_by_none = k->held_by_none * ASKED_KEPT + free;
		k->garbage = k->held_by_none * 2 > k->asked;
		if (k->garbage)
			log_debug("process %d: %u of %u of type %#llx are garbage", s->py->pid, free, q->list[i].cnt, (unsigned long long)k->key.type);
	}
}

static void ask_what_is_replaced(struct survey *s, const struct inquiries *q)
{
	for (size_t i = 0; i < q->cnt; i++) {
		struct kind *k = &s->kinds[q->list[i].kind];

		k->is_replaced = replaced__is_constant(s->py, k->key.type) &&
				 replaced__ask(&k->replaced, s->py, s->heap, k->key.type, q->list[i].blocks, q->list[i].cnt);
	}
}

/* Not where nothing will collect what is garbage. */
static bool collector_comes(const struct survey *s)
{
	struct py_gc_mode mode;

	return !py_interp__gc_mode(s->py, &mode) && mode.collects && mode.last_frozen == s->frozen_at_start;
}

static void look_for_garbage(struct survey *s)
{
	uint64_t start = clock__ns(CLOCK_THREAD_CPUTIME_ID), took;
	struct inquiries *q;

	if (!s->heap_known || s->read_ns < s->held_next_ns)
		return;
	for (size_t i = 0; i < s->kinds_cnt; i++) {
		s->kinds[i].garbage = s->kinds[i].is_replaced = false;
		s->kinds[i].unasked -= s->kinds[i].unasked > 0;
	}
	q = calloc(1, sizeof(*q));
	if (q)
		q->of_kind = calloc(s->kinds_cnt + 1, sizeof(*q->of_kind));
	if (q && q->of_kind) {
		choose_kinds(s, q);
		choose_blocks(s, q);
		if (collector_comes(s))
			ask_who_holds(s, q);
		ask_what_is_replaced(s, q);
	}
	if (q)
		free(q->of_kind);
	free(q);
	took = clock__ns(CLOCK_THREAD_CPUTIME_ID) - start;
	s->held_next_ns = s->read_ns + (uint64_t)fmax(HELD_EVERY_NS, took / HELD_SHARE);
	log_debug("process %d: asked who holds what was gained, in %.1f ms", s->py->pid, took / 1e6);
}

struct survey *survey__new(const struct py_interp *py, const struct tracer *tracer)
{
	struct survey *s = calloc(1, sizeof(*s));
	struct py_gc_mode mode;

	if (!s)
		return NULL;
	s->py = py;
	s->tracer = tracer;
	s->heap = heap__new(py);
	map__init(&s->samples, sizeof(uint64_t), sizeof(struct sample));
	map__init(&s->witnesses, sizeof(uint64_t), sizeof(struct witness));
	map__init(&s->kind_ids, sizeof(struct kind_key), sizeof(uint32_t));
	if (!s->heap || read_heap(s) == -ENOMEM) {
		survey__free(s);
		return NULL;
	}
	take_kinds(s);
	s->anon_at_start = other_memory(s);
	if (!py_interp__gc_mode(py, &mode))
		s->frozen_at_start = mode.last_frozen;
	return s;
}

void survey__free(struct survey *s)
{
	if (!s)
		return;
	heap__free(s->heap);
	map__free(&s->samples);
	map__free(&s->witnesses);
	map__free(&s->kind_ids);
	free(s->kinds);
	free(s);
}

struct look {
	uint64_t addr;
	struct sample *sample;
	unsigned char bytes[CONTENT_BYTES];
};

static void judge_content(struct survey *s, struct look *l, const struct remote_item *item)
{
	struct sample *m = l->sample;
	uint64_t content = item->ok ? py_block__content(s->py, l->addr, m->size, l->bytes, item->size, m->type) : 0;

	if (!content) {
		m->state = DEAD;
		return;
	}
	s->looks += m->state == STABLE;
	s->reused += m->state == STABLE && m->content != content;
	m->state = m->content == content ? STABLE : CHANGING;
	m->content = content;
}

static void judge_contents(struct survey *s, struct look *looks, size_t cnt)
{
	struct remote_item *items = calloc(cnt ? cnt : 1, sizeof(*items));

	if (!items)
		return;
	for (size_t i = 0; i < cnt; i++)
		items[i] = (struct remote_item){ looks[i].addr, looks[i].bytes,
						 looks[i].sample->size < CONTENT_BYTES ? looks[i].sample->size : CONTENT_BYTES, 0 };
	if (remote__read_many(&s->py->mem, items, cnt))
		memset(items, 0, cnt * sizeof(*items)); /* it has ended */
	for (size_t i = 0; i < cnt; i++)
		judge_content(s, &looks[i], &items[i]);
	free(items);
}

static bool judge_large(struct survey *s, uint64_t addr, struct sample *m)
{
	if (m->state != GHOST && libc_block__is_used(&s->py->mem, addr, &m->size_now))
		return true;
	if (m->state != GHOST)
		m->died_ns = s->read_ns;
	/* a lookout sees where it moves to; what it saw being made and is gone was freed */
	m->state = m->in_heap || m->size <= POOL_BLOCK_MAX_BYTES || s->read_ns - m->died_ns > GHOST_NS || (m->sought && !m->moved) ? DEAD : GHOST;
	return false;
}

/* By the reading of the heap. false: its content need not be looked at. */
static bool judge_place(struct survey *s, uint64_t addr, struct sample *m)
{
	struct heap_block b;
	uint32_t id;

	if (((uint64_t)m->birth + 2) * BIRTH_NS > s->read_ns)
		return false; /* it may be younger than the reading */
	if (!m->in_heap || !s->heap_known)
		return judge_large(s, addr, m);
	if (!heap__find(s->heap, addr, &b) || ((m->type || m->witnessed) && b.type != m->type)) {
		m->state = DEAD;
		return false;
	}
	if (!m->type && b.type) { /* it was not an object yet when it was met */
		m->type = b.type;
		m->content = 0;
	}
	if (kind_of(s, m->type, b.bytes, &id))
		m->kind = id;
	if (m->sought)
		m->size_now = b.bytes;
	return true;
}

/* Made in the lookout that is going on: in its tail it may be seen to end. */
static bool awaits_witness(const struct survey *s, const struct sample *m)
{
	return m->sought && !m->witnessed && (uint64_t)m->birth << BIRTH_SHIFT > s->lookout_end_ns;
}

static struct kind *kind_of_sample(struct survey *s, const struct sample *m)
{
	return m->kind != NO_KIND ? &s->kinds[m->kind] : &s->others;
}

/*
 * A block that a realloc had in hand stands for itself: the object was not made in that burst. Of large ones lookouts mostly see far more, where there were
 * any: then what bursts have seen at that time is the same once more.
 */
static void weigh(const struct survey *s, struct sample *m)
{
	const uint64_t birth_ns = (uint64_t)m->birth << BIRTH_SHIFT;
	struct gate *gate = tracer__gate(s->tracer);

	if (m->moved)
		m->weight = 1;
	else if (gate && m->sought)
		m->weight = gate__sought_weight(gate, birth_ns, m->in_heap ? LOOKOUT_CLASSES : LOOKOUT_LARGE);
	else if (gate)
		m->weight = m->in_heap ? gate__weight(gate, birth_ns) : gate__large_weight(gate, birth_ns);
}

static int judge_samples(struct survey *s)
{
	struct look *looks = malloc(READ_AT_ONCE * sizeof(*looks));
	const void *key;
	void *value;
	size_t cnt = 0;

	if (!looks)
		return -ENOMEM;
	for (size_t i = 0; map__next(&s->samples, &i, &key, &value);) {
		uint64_t addr;

		memcpy(&addr, key, sizeof(addr));
		if (((struct sample *)value)->pass != s->pass) { /* it was seen to end */
			map__del(&s->samples, key);
			continue;
		}
		weigh(s, value);
		if (((struct sample *)value)->state == DEAD || !judge_place(s, addr, value))
			continue;
		looks[cnt].addr = addr;
		looks[cnt++].sample = value;
		if (cnt == READ_AT_ONCE) {
			judge_contents(s, looks, cnt);
			cnt = 0;
		}
	}
	judge_contents(s, looks, cnt);
	free(looks);
	for (size_t i = 0; map__next(&s->samples, &i, &key, &value);) {
		const struct sample *m = value;
		struct kind *k = kind_of_sample(s, m);

		if (m->state == GHOST) {
			s->large.ghosts += (double)m->weight * m->size_now;
			s->large.moved += m->moved ? (double)m->weight * m->size_now : 0;
		}
		if ((m->state != CHANGING && m->state != STABLE) || awaits_witness(s, m) || m->weight <= 0)
			continue;
		k->weight[m->state == STABLE] += m->weight;
		k->samples[m->state == STABLE]++;
		k->seeking.met |= m->sought;
		if (m->kind == NO_KIND)
			*(m->moved ? &s->large.certain : &s->large.sampled) += (double)m->weight * m->size_now;
	}
	large__weigh(&s->large);
	s->judged++;
	log_debug("process %d: beside the heap %.1f MiB gained; samples of that %.1f MiB, and %.1f MiB of what has moved", s->py->pid,
		  s->large.gained / 1048576.0, (s->large.sampled + s->large.certain) / 1048576.0, s->large.ghosts / 1048576.0);
	return 0;
}

/* Not what others make (C code, another library): that has been sought in vain; it is asked again later. */
static bool go_on_seeking(const struct survey *s, struct seeking *k, bool wanted)
{
	if (!wanted) {
		k->since_ns = 0;
		return false;
	}
	if (!k->since_ns || s->read_ns - k->since_ns > SOUGHT_AGAIN_NS)
		*k = (struct seeking){ s->read_ns, false };
	return k->met || s->read_ns - k->since_ns < SOUGHT_IN_VAIN_NS;
}

/* Of which the sample knows few. */
static bool is_sought(const struct survey *s, struct kind *k)
{
	return go_on_seeking(s, &k->seeking, k->key.type && k->gained >= SOUGHT_MIN_OBJECTS && k->samples[0] + k->samples[1] < SOUGHT_ENOUGH);
}

/* Is more and more memory taken beside the heap, that bursts do not explain, or with few blocks? What lookouts explain is known as long as there are some. */
static bool large_are_sought(struct survey *s)
{
	struct kind *k = &s->others;
	bool explained = k->samples[0] + k->samples[1] >= SOUGHT_ENOUGH && large__is_explained(&s->large), rises = large__rises(&s->large, s->read_ns);

	return go_on_seeking(s, &k->seeking, rises && (k->seeking.since_ns || !explained));
}

static void choose_sought(struct survey *s)
{
	const struct engine *e = tracer__engine(s->tracer);
	struct gate *gate = tracer__gate(s->tracer);
	uint64_t maker = engine__maker(e);
	struct sought_list sought = { 0 };

	if (!gate)
		return;
	for (size_t i = 0; i < s->kinds_cnt && maker; i++) {
		struct kind *k = &s->kinds[i];

		if (is_sought(s, k))
			sought__add(&sought, s->py, maker + s->py->bias - engine__bias(e), k->key.type, k->gained_bytes);
	}
	gate__seek(gate, sought.list, sought.cnt, large_are_sought(s) ? POOL_BLOCK_MAX_BYTES + 1 : 0, large__is_known(&s->large));
}

static void hear_witnesses(struct survey *s)
{
	struct gate *gate = tracer__gate(s->tracer);
	struct gate_witness *list = NULL;
	size_t cnt = gate ? gate__take_witnesses(gate, &list) : 0;

	for (size_t i = 0; i < cnt; i++) {
		struct witness *w = map__put(&s->witnesses, &list[i].addr, NULL);
		uint32_t first = list[i].size < GATE_WITNESS_BYTES ? list[i].size : GATE_WITNESS_BYTES, off;

		if (!w)
			break;
		*w = (struct witness){ .birth = list[i].birth, .late = list[i].late };
		if (py_block__object(s->py, list[i].addr, list[i].size, list[i].bytes, first, &w->type, &off))
			w->type = 0;
	}
	free(list);
}

int survey__begin(struct survey *s)
{
	struct gate *gate = tracer__gate(s->tracer);
	struct gate_stats stats = { .ever_shut = true }; /* for good, where there is none */
	int err;

	map__free(&s->witnesses);
	map__init(&s->witnesses, sizeof(uint64_t), sizeof(struct witness));
	hear_witnesses(s);
	if (gate) {
		gate__stats(gate, &stats);
		s->lookout_end_ns = gate__lookout_end(gate);
		s->large_doubt = gate__large_doubt(gate);
	}
	s->active = stats.ever_shut;
	if (!s->active || clock__now_ns() < s->next_ns)
		return 0;
	if (gate && s->readings > 1 && stats.cpu_ns - s->last_cpu_ns < 1000000)
		return 0; /* it has not run */
	s->last_cpu_ns = stats.cpu_ns;
	err = read_heap(s);
	if (err)
		return err;
	take_kinds(s);
	meet_kinds(s);
	look_for_garbage(s);
	err = judge_samples(s);
	choose_sought(s);
	s->pass++;
	return err;
}

bool survey__is_active(const struct survey *s)
{
	return s && s->active;
}

/* NULL: there is none, as it was pushed out of its place or recorded long before its burst ended. */
static const struct witness *witness_of(struct survey *s, uint64_t addr, uint32_t birth)
{
	const struct witness *w = map__get(&s->witnesses, &addr);

	if (!w || w->birth != birth) {
		hear_witnesses(s);
		w = map__get(&s->witnesses, &addr);
	}
	return w && w->birth == birth ? w : NULL;
}

/* What it is now may be another one's, made where it was. */
static void ask_witness(struct survey *s, uint64_t addr, struct sample *m)
{
	const struct witness *w = m->in_heap ? witness_of(s, addr, m->birth) : NULL;

	if (!w)
		return;
	if (w->late || (m->type && m->type != w->type))
		m->state = DEAD;
	m->type = w->type;
	m->witnessed = true;
}

/* M is a buffer that has moved, and may have done so unseen: of those that the same line has moved and that are gone, the one that is most like it was this one. */
static void lay_ghost(struct survey *s, const struct sample *m)
{
	struct sample *best = NULL;
	const void *key;
	void *value;

	for (size_t i = 0; map__next(&s->samples, &i, &key, &value);) {
		struct sample *g = value;
		uint64_t addr;

		if (g == m || !g->moved || g->in_heap || g->state == DEAD || g->stack != m->stack || g->size_now > m->size || (best && g->size_now <= best->size_now))
			continue;
		memcpy(&addr, key, sizeof(addr));
		if (g->state == GHOST || !libc_block__is_used(&s->py->mem, addr, &g->size_now))
			best = g;
	}
	if (best)
		best->state = DEAD;
}

static struct sample *meet(struct survey *s, uint64_t addr, const struct block *b, uint64_t type)
{
	bool existed;
	struct sample *m = map__put(&s->samples, &addr, &existed);
	uint64_t size = BLOCK_SIZE(b->size_domain);

	if (!m)
		return NULL;
	m->pass = s->pass;
	if (existed && m->birth == b->birth && m->stack == b->stack && m->size == size) {
		if (m->sought && !m->witnessed)
			ask_witness(s, addr, m);
		return m;
	}
	if (s->heap_known)
		heap__touch(s->heap, addr);
	*m = (struct sample){
		.type = type > USE_CNT ? type : 0,
		.size = size,
		.size_now = size,
		.birth = b->birth,
		.stack = b->stack,
		.pass = s->pass,
		.kind = NO_KIND,
		.moved = (b->size_domain & BLOCK_MOVED) != 0,
		.sought = (b->size_domain & BLOCK_SOUGHT) != 0,
		.in_heap = size <= POOL_BLOCK_MAX_BYTES && BLOCK_DOMAIN(b->size_domain) == DOMAIN_OBJ,
	};
	ask_witness(s, addr, m);
	if (m->moved && !m->in_heap && size > POOL_BLOCK_MAX_BYTES)
		lay_ghost(s, m);
	return m;
}

static double grown(const struct sample *m)
{
	return m->size ? (double)m->size_now / m->size : 1;
}

enum survey_fate survey__look(struct survey *s, block_key key, const struct block *b, uint64_t type, struct survey_answer *out)
{
	uint64_t addr = BLOCK_KEY_ADDR(key);
	struct sample *m = meet(s, addr, b, type);
	const struct kind *k;
	int tier;

	*out = (struct survey_answer){ 0 };
	if (!m)
		return SURVEY_WAITING;
	if (m->state == DEAD) {
		map__del(&s->samples, &addr);
		return SURVEY_DEAD;
	}
	k = kind_of_sample(s, m);
	tier = k->samples[1] > 0;
	if (m->state == GHOST) {
		bool soon_met = m->moved && m->sought; /* where it is now, at the next lookout */

		out->weight = m->weight * (soon_met ? 1 : m->moved ? s->large.moved_factor : s->large.ghost_factor) * grown(m);
		out->kind_samples = soon_met ? SURVEY_ALL : SURVEY_UNKNOWN;
		return SURVEY_COUNTS;
	}
	if (m->state == NEW && !s->judged) { /* everything has been recorded until now */
		out->weight = 1;
		out->kind_samples = SURVEY_ALL;
		return SURVEY_COUNTS;
	}
	if (m->state == NEW && m->size > POOL_BLOCK_MAX_BYTES && (m->moved || !m->sought)) { /* a buffer that grows is new again and again */
		weigh(s, m);
		out->weight = fmin(m->weight, 1);
		out->kind_samples = m->moved ? SURVEY_ALL : SURVEY_UNKNOWN;
		return SURVEY_COUNTS;
	}
	if (awaits_witness(s, m) || m->state == NEW || (m->kind != NO_KIND && (m->state == STABLE) != tier))
		return SURVEY_WAITING;
	if (m->kind == NO_KIND) {
		out->weight = m->weight * (m->moved ? 1 : s->large.factor) * grown(m);
		out->doubt = m->sought && !m->moved ? s->large_doubt : 0;
		out->kind_samples = m->weight < 1.001 && (m->moved || s->large.factor >= 1) ? SURVEY_ALL : SURVEY_UNKNOWN;
	} else {
		out->weight = k->weight[tier] > 0 && k->gained > 0 ? m->weight * k->gained / k->weight[tier] : 0;
		out->kind_samples = k->samples[tier];
		out->bytes_each = m->sought ? m->size_now : 0;
		out->passing = is_passing(k);
	}
	return SURVEY_COUNTS;
}

bool survey__next_gap(const struct survey *s, size_t *i, struct survey_gap *out)
{
	while (s->active && *i < s->kinds_cnt) {
		const struct kind *k = &s->kinds[(*i)++];

		if (k->gained < GAP_MIN_OBJECTS || k->samples[0] || k->samples[1])
			continue;
		*out = (struct survey_gap){ k->key.type, k->gained, k->gained_bytes, is_passing(k) };
		return true;
	}
	return false;
}

void survey__stats(const struct survey *s, struct survey_stats *out)
{
	*out = (struct survey_stats){ .samples = s->samples.cnt, .readings = s->readings };
	if (s->looks)
		out->reused = (double)s->reused / s->looks;
}

double survey__error(double amount, uint32_t samples, uint32_t all)
{
	double n, share, whole;

	if (all == SURVEY_ALL)
		return 0;
	if (!samples)
		return amount;
	if (all == SURVEY_UNKNOWN)
		return amount / samples * (1.96 * sqrt(samples + 1) + 1); /* as many as Poisson's law lets come; of few, more than their root */
	/* Agresti and Coull, "Approximate is better than exact" (1998): two more of each */
	n = all + 4.0;
	share = (samples + 2.0) / n;
	whole = amount * all / samples;
	return whole * (1.96 * sqrt(share * (1 - share) / n) + fabs(share - (double)samples / all));
}
