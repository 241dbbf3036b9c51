/* SPDX-License-Identifier: MIT */
/*
 * How often the kernel has killed a process of this control group for want of memory; of the whole
 * machine where the group has no such counter. Arbiter only.
 */
#ifndef SAOLA_PROC_OOM_H
#define SAOLA_PROC_OOM_H

#include <stdbool.h>
#include <stdint.h>

struct oom_counter {
    char *path; /* owned: the file with the counter; NULL: there is none */
    uint64_t seen;
};

void oom_counter_init(struct oom_counter *counter);
void oom_counter_fini(struct oom_counter *counter);

/* Whether the counter has grown since it was last asked. */
bool oom_counter_grew(struct oom_counter *counter);

#endif
