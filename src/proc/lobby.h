/* SPDX-License-Identifier: MIT */
/*
 * The way of connections from the workers of an arbiter to those of the arbiter that upgrades it: a
 * mailbox that every arbiter makes before it forks anything, for a successor that may come.
 *
 *   1. The successor inherits the reading end (SAOLA_LOBBY_FD). When a worker of its own is ready
 *      it answers with the version of the messages that it understands.
 *   2. If that is the version of its predecessor, that says so in the slots, and from then on its
 *      workers send to the lobby what they would otherwise have to close. A successor that knows
 *      nothing of all this never answers.
 *   3. The successor passes on what comes to its workers, unread.
 *   4. If the successor ends first, the predecessor does the same with what is left.
 *
 * Part of the arbiter; its writing end is in struct mailboxes, which the workers have too.
 */
#ifndef SAOLA_PROC_LOBBY_H
#define SAOLA_PROC_LOBBY_H

#include "base/macros.h"

#include <stdbool.h>

struct arbiter;

#define LOBBY_VARIABLE "SAOLA_LOBBY_FD"

/* Owned by the arbiter. */
struct lobby {
    int read_fd;      /* of the own lobby, for a successor; -1: none */
    int inherited_fd; /* of the predecessor's; -1: none, or done with */
    bool announced;   /* to the predecessor */
    bool answered;    /* the successor has: a worker of its own is ready */
    bool left;        /* the successor has ended, and may have left mail */
    bool stuck;       /* nobody takes what waits: not to be polled for a while */
};

void lobby_init(struct arbiter *arbiter);
void lobby_fini(struct arbiter *arbiter);

/* Before the first fork: the own one, and the predecessor's if there is one. Negative errno. */
int lobby_open(struct arbiter *arbiter) NODISCARD;

/* Before a successor is forked: what the last one may have answered is forgotten. */
void lobby_expect(struct arbiter *arbiter);

/* In the process that becomes the successor: its variable, to be released with free(). NULL: none.
 */
char *lobby_bequeath(const struct arbiter *arbiter);

/* In a worker: only the writing end is left. */
void lobby_become_worker(struct arbiter *arbiter);

/* Every turn. */
void lobby_look(struct arbiter *arbiter);

/* What to wait for, to become readable: the answer of the successor, and mail of the predecessor;
 * -1: nothing. */
int lobby_answer_fd(const struct arbiter *arbiter);
int lobby_mail_fd(const struct arbiter *arbiter);

#endif
