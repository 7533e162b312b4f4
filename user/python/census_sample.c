// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * From a part of the heap to all of it. What is chosen is a cluster: a whole pool, or without pools a stretch of the C library's heap. Objects of one type
 * are neighbours, so that errors come from how clusters differ, not from how many objects there are.
 *
 * How many blocks live in all clusters of a stratum is known, as all headers are read. So a type's share of the blocks that were read is taken as its
 * share of all: the ratio estimator of stratified cluster sampling, with the variance of what each cluster has more or less than its share.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "census_state.h"

enum { STRETCH_BYTES = 16384 };

/* Of one type in one stratum: sums over the clusters that were read, of objects (Y), owned bytes (O) and live blocks (L). */
struct sum {
	double y, yy, yl, o, oo, ol, bytes, tracked;
};

struct sum_key {
	uint32_t tag, stratum;
};

/* What a type had before the cluster that is being read; all that is in clusters is moved from the type to its sums. */
static void take_cluster(struct census *c, uint32_t tag, uint32_t stratum, double live)
{
	struct census_type *t = &c->types[tag];
	const struct census_part *before = &t->before;
	struct sum_key key = { tag, stratum };
	struct sum *s = map__put(&c->sample.sums, &key, NULL);
	double y = t->objects - before->objects, bytes = t->bytes - before->bytes, o = bytes + t->buffer_bytes - before->buffer_bytes;

	if (!s) {
		c->err = -ENOMEM;
		return;
	}
	s->y += y;
	s->yy += y * y;
	s->yl += y * live;
	s->o += o;
	s->oo += o * o;
	s->ol += o * live;
	s->bytes += bytes;
	s->tracked += t->tracked - before->tracked;
	t->objects = before->objects;
	t->bytes = before->bytes;
	t->buffer_bytes = before->buffer_bytes;
	t->tracked = before->tracked;
	t->touched = false;
}

static struct census_part part_of(const struct census_type *t)
{
	return (struct census_part){ t->objects, t->tracked, t->bytes, t->buffer_bytes };
}

void census_sample__touch(struct census *c, struct census_type *t, uint32_t tag)
{
	struct census_sample *s = &c->sample;
	size_t capacity = s->touched_capacity ? 2 * s->touched_capacity : 256;
	uint32_t *bigger;

	if (t->touched || !c->options.sample || !s->in_cluster)
		return;
	if (s->touched_cnt == s->touched_capacity) {
		bigger = realloc(s->touched, capacity * sizeof(*bigger));
		if (!bigger) {
			c->err = -ENOMEM;
			return;
		}
		s->touched = bigger;
		s->touched_capacity = capacity;
	}
	s->touched[s->touched_cnt++] = tag;
	t->touched = true;
	t->before = part_of(t);
}

static void end_cluster(struct census *c, uint32_t stratum, double live)
{
	struct census_sample *s = &c->sample;
	struct census_stratum *read = &s->strata[stratum];

	census__flush_buffers(c);
	for (size_t i = 0; i < s->touched_cnt && !c->err; i++)
		take_cluster(c, s->touched[i], stratum, live);
	s->touched_cnt = 0;
	read->cnt++;
	read->live += live;
	read->live_squares += live * live;
	s->clusters_read++;
}

void census_sample__see_pool(void *census, uint32_t block_bytes, uint32_t live)
{
	struct census *c = census;

	if (c->options.sample && !c->err)
		end_cluster(c, block_bytes / 8, live);
}

void census_sample__end_stretch(struct census *c)
{
	struct census_sample *s = &c->sample;

	if (s->taken && s->stretch_live)
		end_cluster(c, 0, s->stretch_live);
	s->taken = s->in_cluster = false;
	s->stretch = s->stretch_live = 0;
}

/* Those that are large are seldom, and too different from each other: all are taken. Where there are pools, all are large. */
bool census_sample__takes_chunk(struct census *c, uint64_t addr, uint64_t bytes)
{
	struct census_sample *s = &c->sample;

	if (!c->options.sample || c->stats.has_pools)
		return true;
	if (addr / STRETCH_BYTES != s->stretch) {
		census_sample__end_stretch(c);
		s->stretch = addr / STRETCH_BYTES;
		s->taken = heap_sample__takes(c->options.seed, addr & ~(uint64_t)(STRETCH_BYTES - 1), c->options.sample);
	}
	s->in_cluster = s->taken && bytes <= POOL_BLOCK_MAX_BYTES;
	if (bytes > POOL_BLOCK_MAX_BYTES)
		return true;
	s->stretches += !s->stretch_live++;
	s->stretches_live++;
	return s->taken;
}

void census_sample__count(struct census *c, struct census_object *o)
{
	struct census_type *t = census__type(c, o->tag);
	struct census_part before;

	if (!t || c->sample.in_cluster || !t->touched) {
		census__count(c, o);
		return;
	}
	/* Not of the cluster that it is amidst of. */
	census__flush_buffers(c);
	before = part_of(t);
	census__count(c, o);
	census__flush_buffers(c);
	t = &c->types[o->tag];
	t->before.objects += t->objects - before.objects;
	t->before.tracked += t->tracked - before.tracked;
	t->before.bytes += t->bytes - before.bytes;
	t->before.buffer_bytes += t->buffer_bytes - before.buffer_bytes;
}

void census_sample__begin(struct census *c)
{
	struct census_sample *s = &c->sample;

	map__free(&s->sums);
	map__init(&s->sums, sizeof(struct sum_key), sizeof(struct sum));
	memset(s->strata, 0, sizeof(s->strata));
	s->touched_cnt = 0;
	s->clusters_read = s->stretch = s->stretches = s->stretch_live = s->stretches_live = 0;
	s->taken = false;
	s->in_cluster = true; /* pools come first */
}

void census_sample__free(struct census *c)
{
	map__free(&c->sample.sums);
	free(c->sample.touched);
}

/* Variance of an estimated sum. */
struct spread {
	double variance, weighted; /* WEIGHTED: squared variances by their degrees of freedom, as Satterthwaite has it */
};

/*
 * Of the sum of what has Y, YY, YL in the clusters that were read of ALL with ALL_LIVE blocks: what it is in all.
 *
 * A heap that was filled by one loop has pools that are all alike, but for some odd ones: of which there may be none in the sample, and then all that was
 * read agrees on what is wrong. So, as Agresti and Coull do for proportions, a cluster more is thought to be there that has nothing of the type, and with
 * a probability of its share one that has nothing else, EACH by block. Where clusters differ as they do in most heaps that makes little difference.
 */
static double estimate(const struct census_stratum *r, double all, double all_live, double y, double yy, double yl, double each, struct spread *spread)
{
	double ratio, residual, variance, mean, share;

	if (!r->live || r->cnt >= all)
		return y;
	ratio = y / r->live;
	mean = r->live / r->cnt;
	residual = yy - 2 * ratio * yl + ratio * ratio * r->live_squares;
	share = each ? ratio / each : 0;
	residual += mean * mean * each * each * (share * share + share * (1 - share) * (1 - share));
	if (r->cnt > 1 && residual > 0) {
		variance = all_live / r->live * (all_live / r->live) * (1 - r->cnt / all) * r->cnt * residual / (r->cnt - 1);
		spread->variance += variance;
		spread->weighted += variance * variance / (r->cnt - 1);
	}
	return ratio * all_live;
}

/* Half the width of the 95 % interval: Student's distribution, by its expansion around the normal one. */
static double error_of(const struct spread *s)
{
	double freedom = s->weighted > 0 ? s->variance * s->variance / s->weighted : INFINITY;

	if (!(s->variance > 0))
		return 0;
	freedom = freedom < 2 ? 2 : freedom;
	return sqrt(s->variance) * (1.96 + 2.372 / freedom + 2.82 / (freedom * freedom));
}

static int64_t rounded(double value)
{
	return !(value > 0) ? 0 : value < 9e18 ? llround(value) : INT64_MAX;
}

struct sums {
	double objects, bytes, owned, tracked;
	struct spread objects_spread, bytes_spread, owned_spread;
};

static void add_stratum(struct census *c, const struct sum *s, uint32_t stratum, struct sums *out)
{
	const struct census_stratum *r = &c->sample.strata[stratum];
	const struct heap_stratum *pools = &c->heap->strata[stratum];
	double all = stratum ? pools->pools : c->sample.stretches, live = stratum ? pools->live : c->sample.stretches_live;
	double each = s->y > 0 ? s->bytes / s->y : 0, objects;
	struct spread spread = { 0 };

	/* More was there when it was read. */
	live = live < r->live ? r->live : live;
	objects = estimate(r, all, live, s->y, s->yy, s->yl, 1, &spread);
	out->objects += objects;
	out->objects_spread.variance += spread.variance;
	out->objects_spread.weighted += spread.weighted;
	out->bytes += objects * each;
	out->bytes_spread.variance += spread.variance * each * each;
	out->bytes_spread.weighted += spread.weighted * each * each * each * each;
	out->owned += estimate(r, all, live, s->o, s->oo, s->ol, s->y > 0 ? s->o / s->y : stratum * 8, &out->owned_spread);
	out->tracked += s->y > 0 ? objects * s->tracked / s->y : 0;
}

static void add_estimates(struct census_type *t, const struct sums *sums, bool buffer)
{
	if (buffer) { /* has no type of its own; more may be owned than there is */
		t->objects = rounded(t->objects + sums->objects);
		t->bytes = rounded(t->bytes + sums->owned);
	} else {
		census__add(&t->objects, rounded(sums->objects));
		census__add(&t->tracked, rounded(sums->tracked));
		census__add(&t->bytes, rounded(sums->bytes));
		census__add(&t->buffer_bytes, rounded(sums->owned - sums->bytes));
	}
	t->objects_error = rounded(error_of(&sums->objects_spread));
	t->owned_error = rounded(error_of(&sums->owned_spread));
	t->bytes_error = buffer ? t->owned_error : rounded(error_of(&sums->bytes_spread));
}

void census_sample__finish(struct census *c)
{
	struct sums *sums = calloc(c->type_capacity + 1, sizeof(*sums));
	const struct sum_key *key;
	const void *found;
	struct heap_stats heap;
	void *sum;

	if (!sums) {
		c->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; map__next(&c->sample.sums, &i, &found, &sum);) {
		key = found;
		add_stratum(c, sum, key->stratum, &sums[key->tag]);
	}
	for (uint32_t tag = TAG_BUFFER; tag < c->type_capacity; tag++)
		add_estimates(&c->types[tag], &sums[tag], tag == TAG_BUFFER);
	free(sums);
	heap__stats(c->heap, &heap);
	c->stats.clusters_read = c->sample.clusters_read;
	c->stats.clusters = c->stats.has_pools ? heap.found_pools : c->sample.stretches;
}
