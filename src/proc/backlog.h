/* SPDX-License-Identifier: MIT */
/*
 * The metric gunicorn.backlog: how many connections wait in the kernel's queues of the listeners,
 * for nobody has accepted them yet.
 */
#ifndef SAOLA_PROC_BACKLOG_H
#define SAOLA_PROC_BACKLOG_H

#include <stdint.h>

struct arbiter;

/* Once a second, if enable_backlog_metric is set. */
void backlog_report(struct arbiter *a, int64_t now_ns);

#endif
