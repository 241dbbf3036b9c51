/* SPDX-License-Identifier: MIT */
/*
 * Workers, as the arbiter's core asks for them: struct arbiter_host says what each function does.
 * Main thread, GIL held.
 */
#ifndef SAOLA_PY_PY_ARBITER_CHILD_H
#define SAOLA_PY_PY_ARBITER_CHILD_H

#include "base/macros.h"
#include "proc/spawn.h"

#include <sys/types.h>

pid_t py_arbiter_fork(void *context);
int py_arbiter_child_new(void *context, struct child *child) NODISCARD;
void py_arbiter_child_forked(void *context, struct child *child);
void py_arbiter_child_free(void *context, struct child *child);
NORETURN void py_arbiter_run_worker(void *context, struct child *child,
                                    const struct worker_start *start);

#endif
