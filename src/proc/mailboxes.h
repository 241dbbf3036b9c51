/* SPDX-License-Identifier: MIT */
/*
 * The mailboxes of the workers: that of slot N is number N. The arbiter makes them before it forks
 * and keeps both ends, so that mail outlives the worker in the slot; it never reads what is in it.
 * A worker knows those that there were when it was forked. Slots without one take no part.
 *
 * Main thread of the arbiter, or of a worker that has just been forked.
 */
#ifndef SAOLA_PROC_MAILBOXES_H
#define SAOLA_PROC_MAILBOXES_H

#include "base/macros.h"
#include "net/mailbox.h"

#include <stddef.h>
#include <stdint.h>

struct slots;

enum { MAILBOXES_MAX = 256 };

struct mailboxes {
    struct mailbox *items; /* owned */
    unsigned count;
    int lobby_fd; /* owned: to the workers of another arbiter, see lobby.h; -1: none */
};

/* What a slot says of its mailbox, and since when. */
struct mail_count {
    uint32_t sent;
    uint32_t taken;
    int64_t since_ns; /* monotonic */
};

void mailboxes_init(struct mailboxes *mailboxes);

/* So many that `workers`, their successors and a few more have one; fewer if the kernel gives no
 * more. Never shrinks. */
void mailboxes_grow(struct mailboxes *mailboxes, int64_t workers, size_t slot_count);

/* How many that are. */
unsigned mailboxes_wanted(int64_t workers);

void mailboxes_fini(struct mailboxes *mailboxes);

/* In the worker of the slot `own`: keeps the reading end of its own and the writing ends of the
 * others. */
void mailboxes_become(struct mailboxes *mailboxes, size_t own);

/* Arbiter: mail of slots whose worker has died goes to workers that serve; if none does, it stays
 * for the next worker of the slot. */
void mailboxes_forward(const struct mailboxes *mailboxes, struct slots *slots);

/* Arbiter, every turn: puts the count of what is in the mailbox of that slot right. Who is killed
 * between counting and sending leaves it wrong. `*seen`, zero at first, is kept from turn to turn.
 */
void mailboxes_settle(const struct mailboxes *mailboxes, struct slots *slots, size_t index,
                      struct mail_count *seen, int64_t now_ns);

#endif
