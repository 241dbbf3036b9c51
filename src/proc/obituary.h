/* SPDX-License-Identifier: MIT */
/*
 * Why a worker has died, as far as its wait status, its slot and the kernel's counters tell.
 * Arbiter only.
 */
#ifndef SAOLA_PROC_OBITUARY_H
#define SAOLA_PROC_OBITUARY_H

#include "base/macros.h"
#include "proc/slot.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* How often the kernel has killed a process of this control group for want of memory. */
struct oom_counter {
    char *path; /* owned: the file with the counter; NULL: there is none */
    uint64_t seen;
};

void oom_counter_init(struct oom_counter *counter);
void oom_counter_fini(struct oom_counter *counter);

/* Whether the counter has grown since it was last asked. */
bool oom_counter_grew(struct oom_counter *counter);

/* Logs the end of a worker with that wait status; nothing for an exit status of 0. */
void obituary_write(pid_t pid, int status, const struct slot *slot, struct oom_counter *oom);

#endif
