/* SPDX-License-Identifier: MIT */
/*
 * HUP: a new configuration, new listeners, new workers. Whatever fails, the server goes on as it
 * was. Part of the arbiter.
 */
#ifndef SAOLA_PROC_RELOAD_H
#define SAOLA_PROC_RELOAD_H

struct arbiter;

/* Serves a HUP that has come, unless workers are still booting or being replaced: then it waits
 * until they are, and several become one. */
void reload_serve(struct arbiter *arbiter);

#endif
