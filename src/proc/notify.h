/* SPDX-License-Identifier: MIT */
/*
 * What the arbiter tells the service manager (systemd, sd_notify(3)) about itself: that it is
 * ready, reloads, stops, still turns, and which process is the main one. Part of the arbiter.
 *
 * Of the two arbiters of an upgrade only the one without a predecessor speaks: systemd listens to
 * the main process alone unless it is told otherwise (NotifyAccess=main). So it is the old one that
 * names its successor as the main process when it goes, and the new one that speaks from then on.
 */
#ifndef SAOLA_PROC_NOTIFY_H
#define SAOLA_PROC_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

struct arbiter;

/* Owned by the arbiter. */
struct notify {
    bool ready;               /* READY=1 has been said */
    bool reloading;           /* RELOADING=1 has, and not yet READY=1 again */
    bool stopping;            /* STOPPING=1 has */
    uint32_t generation;      /* before the reload */
    int64_t watchdog_ns;      /* between two signs of life; 0: nobody waits for them */
    int64_t watchdog_next_ns; /* monotonic */
};

/* Before the process forks into the background: the watchdog is told to wait for a certain pid. */
void notify_init(struct arbiter *arbiter);

/* The first workers boot, which may take them longer than the manager would wait. */
void notify_starting(const struct arbiter *arbiter);

/* A reload begins; notify_look() finds out when it is over. */
void notify_reloading(struct arbiter *arbiter);

/* No more than once: the server stops, or leaves its place to its successor. */
void notify_stopping(struct arbiter *arbiter);

/* The predecessor is gone. */
void notify_promoted(struct arbiter *arbiter);

/* Every turn: says what has become true, and that the arbiter turns. */
void notify_look(struct arbiter *arbiter, int64_t now_ns);

/* When notify_look() has to say something; INT64_MAX: only when something happens. */
int64_t notify_next_ns(const struct arbiter *arbiter);

#endif
