/* SPDX-License-Identifier: MIT */
/*
 * Readiness of file descriptors: level-triggered, one backend per file (epoll, kqueue) behind these
 * few functions. A watch belongs to whoever embeds it; the reactor only remembers its address, so
 * it must stay where it is while it is watched. Calls that change watches need the loop's lock;
 * reactor_wait() is called without it.
 */
#ifndef SAOLA_NET_REACTOR_H
#define SAOLA_NET_REACTOR_H

#include "base/macros.h"

#include <stdbool.h>

enum reactor_interest {
    REACTOR_READ = 1,
    REACTOR_WRITE = 2,
    /* Reported, never asked for: the peer is gone in both directions, or the descriptor failed. */
    REACTOR_HANGUP = 4,
};

struct watch {
    int fd;            /* not owned by the reactor */
    unsigned interest; /* what the reactor knows; 0: not registered */
    bool exclusive;    /* a listener shared by processes: wake one of them (EPOLLEXCLUSIVE) */
    void (*ready)(struct watch *watch, unsigned events); /* called with the loop's lock held */
};

struct reactor {
    int fd; /* itself pollable */
};

struct reactor_event {
    struct watch *watch;
    unsigned events;
};

int reactor_init(struct reactor *reactor) NODISCARD;
void reactor_fini(struct reactor *reactor);

/* Makes `interest` (REACTOR_READ | REACTOR_WRITE, or 0 to stop) what is reported for the watch.
 * Costs a system call only if it changes something. Removing must come before the fd is closed. */
int reactor_set(struct reactor *reactor, struct watch *watch, unsigned interest) NODISCARD;

/* Waits up to `timeout_ms` (-1: for ever) and fills `events`: how many, or -EINTR. */
int reactor_wait(struct reactor *reactor, struct reactor_event *events, int max, int timeout_ms)
    NODISCARD;

#endif
