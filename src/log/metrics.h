/* SPDX-License-Identifier: MIT */
/*
 * The counters of a worker, one field per entry of metrics.def. They live in the worker's slot in
 * shared memory. One writer at a time (whoever holds the loop's lock), so an addition is a relaxed
 * load and store, not a locked instruction; any process may read at any time.
 */
#ifndef SAOLA_LOG_METRICS_H
#define SAOLA_LOG_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

struct metrics {
#define METRIC(name, kind, help) _Atomic uint64_t name;
#include "log/metrics.def"
#undef METRIC
};

static inline void
metric_add(_Atomic uint64_t *metric, uint64_t n)
{
    uint64_t value = atomic_load_explicit(metric, memory_order_relaxed);
    atomic_store_explicit(metric, value + n, memory_order_relaxed);
}

static inline void
metric_subtract(_Atomic uint64_t *metric, uint64_t n)
{
    metric_add(metric, (uint64_t)0 - n);
}

static inline uint64_t
metric_read(const _Atomic uint64_t *metric)
{
    return atomic_load_explicit(metric, memory_order_relaxed);
}

#endif
