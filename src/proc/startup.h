/* SPDX-License-Identifier: MIT */
/*
 * The start of the arbiter, step by step in Gunicorn's order, up to the point at which the first
 * worker can be forked. Part of the arbiter.
 */
#ifndef SAOLA_PROC_STARTUP_H
#define SAOLA_PROC_STARTUP_H

#include "base/macros.h"

struct arbiter;

/* As arbiter_start(). */
int startup(struct arbiter *arbiter) NODISCARD;

#endif
