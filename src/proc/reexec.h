/* SPDX-License-Identifier: MIT */
/*
 * USR2, the upgrade: a second arbiter, executed from the files that are there now, serves on the
 * same listeners. The first one goes on until somebody stops it; when it has ended, the second is
 * promoted. Part of the arbiter.
 *
 * The two find each other by Gunicorn's variables GUNICORN_PID (the first one's pid) and
 * GUNICORN_FD (the listeners); what Gunicorn does not know of is in variables of Saola's own.
 */
#ifndef SAOLA_PROC_REEXEC_H
#define SAOLA_PROC_REEXEC_H

#include "base/macros.h"

struct arbiter;

/* Learns from the environment whether this arbiter is a second one, and remembers the environment
 * for the next. First of all. */
void reexec_init(struct arbiter *arbiter);
void reexec_fini(struct arbiter *arbiter);

/* Removes from the environment what was meant for this process alone, systemd's variables too. */
void reexec_clean_env(struct arbiter *arbiter);

/* Forks and executes. 0, also if that fails: the log says so, and this arbiter goes on. */
int reexec_start(struct arbiter *arbiter) NODISCARD;

/* Promotes this arbiter once the first one is gone. */
void reexec_look(struct arbiter *arbiter);

#endif
