/* SPDX-License-Identifier: MIT */
/*
 * Running in the background: two forks, a session of its own, and /dev/null instead of a terminal.
 */
#ifndef SAOLA_PROC_DAEMON_H
#define SAOLA_PROC_DAEMON_H

#include "base/macros.h"

struct arbiter;

/* Returns in the process that goes on; the others have ended. An arbiter that was executed by
 * another one is in the background already. Negative errno. */
int daemon_detach(struct arbiter *arbiter) NODISCARD;

#endif
