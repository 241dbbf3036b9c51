/* SPDX-License-Identifier: MIT */
/*
 * From the arbiter to a worker: the fork, and what the new process is given.
 *
 * struct worker_start is all that a worker knows of its arbiter. It stays valid, and belongs to the
 * worker's main thread, until the process ends.
 */
#ifndef SAOLA_PROC_SPAWN_H
#define SAOLA_PROC_SPAWN_H

#include "base/macros.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct arbiter;
struct child;
struct config;
struct listener;
struct mailboxes;
struct slot;
struct slots;

struct worker_start {
    struct slot *slot;
    struct slots *slots; /* everybody's */
    /* Its own, as far as it has one: to read from; the others': to write to. */
    struct mailboxes *mailboxes;
    struct listener *listeners; /* listening, non-blocking */
    size_t listener_count;
    const struct config *cfg;
    int parent_fd; /* becomes readable, with the end of input, when the arbiter is dead */
    int notify_fd; /* non-blocking: a byte makes the arbiter look at the slots */
    int stacks_fd; /* a file for stacks (proc/stacks.h); -1: none */
    pid_t arbiter_pid;
};

/* The worker is ready: the application is loaded and post_worker_init has returned. */
void worker_start_ready(const struct worker_start *start);

/* Something in the slot deserves the arbiter's attention: the state RETIRING, for instance. Any
 * thread, and signal handlers. */
void worker_start_notify(const struct worker_start *start);

/* Arbiter: forks one worker; returns in the arbiter only. Negative errno if there is none:
 * -ECANCELED if a hook raised, -ENOSPC if all slots are taken. */
int spawn_worker(struct arbiter *arbiter, int64_t now_ns) NODISCARD;

/* Arbiter: frees everything about a worker that has ended. */
void spawn_forget(struct arbiter *arbiter, struct child *child);

#endif
