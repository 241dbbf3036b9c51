/* SPDX-License-Identifier: MIT */
/*
 * The callbacks by which the arbiter's core reaches saola.arbiter.Arbiter. Their context is the
 * struct py_arbiter of the run.
 */
#ifndef SAOLA_PY_PY_ARBITER_HOST_H
#define SAOLA_PY_PY_ARBITER_HOST_H

#include "proc/arbiter.h"

extern const struct arbiter_host py_arbiter_host;

#endif
