/* SPDX-License-Identifier: MIT */
/*
 * Workers that are replaced before they do harm: those that have served for max_worker_age, and
 * those that hold more memory than max_worker_rss. This only decides that a worker is to have a
 * successor; manage.c does the rest. Part of the arbiter.
 */
#ifndef SAOLA_PROC_RECYCLE_H
#define SAOLA_PROC_RECYCLE_H

#include "base/macros.h"

#include <stdint.h>
#include <sys/types.h>

struct arbiter;
struct child;

/* The worker has become ready: draws the age at which it is to be replaced. */
void recycle_begin(const struct arbiter *arbiter, struct child *child, int64_t now_ns);

/* Looks at all workers, and at their memory if it is time to. */
void recycle_look(struct arbiter *arbiter, int64_t now_ns);

/* When recycle_look() has something to do next; INT64_MAX: never. */
int64_t recycle_next_ns(const struct arbiter *arbiter);

/* The memory of a process: its proportional share (PSS) if that is allowed to be known, otherwise
 * all that is resident. -ESRCH if it is gone, -EIO if the kernel tells neither. What is resident is
 * taken for the answer if it does not exceed `limit_bytes`: to count shares is dear. */
int64_t recycle_memory_bytes(pid_t pid, int64_t limit_bytes) NODISCARD;

#endif
