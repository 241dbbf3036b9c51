/* SPDX-License-Identifier: MIT */
/*
 * The other workers of the server, as a worker sees them: through their slots and mailboxes. It
 * gives connections to the one that has the fewest, and knows that the slots are a moment old.
 *
 * What moves a connection needs the loop's lock; the rest only looks.
 */
#ifndef SAOLA_PROC_SIBLINGS_H
#define SAOLA_PROC_SIBLINGS_H

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;
struct mailboxes;
struct request;
struct slots;

#define SIBLINGS_NOBODY UINT32_MAX

struct siblings {
    struct slots *slots; /* not owned, as the next */
    const struct mailboxes *mailboxes;
    uint32_t self; /* index of the own slot; SIBLINGS_NOBODY: the arbiter's view */
    bool over;     /* the server has come to its end: nobody takes anything */
};

/* Somebody else takes connections: serves, or will do so when it has booted. */
bool siblings_any(const struct siblings *siblings);

/* The worker with the fewest connections. False: nobody serves who will go on doing so. */
bool siblings_fewest(const struct siblings *siblings, uint32_t *ret_index) NODISCARD;

/* Makes the worker of that slot turn its loop once. Returns as mailbox_send(). */
int siblings_nudge(const struct siblings *siblings, uint32_t to) NODISCARD;

/* Gives a connection to the worker with the fewest that has room in its mailbox; if there is none,
 * and the own worker ends at once, to one that is to come. 0; -ENOENT: there is nobody; -EAGAIN and
 * others as h1_move(). */
int siblings_pass(const struct siblings *siblings, struct conn *conn) NODISCARD;

/* Likewise with its complete request, see h1_move_request(). */
int siblings_pass_request(const struct siblings *siblings, struct request *request) NODISCARD;

/* Likewise the oldest message of a mailbox, see mailbox_forward(). */
int siblings_forward(const struct siblings *siblings, int from_fd) NODISCARD;

/* To the worker of that slot and no other, which is not the own one and has a mailbox. */
int siblings_give(const struct siblings *siblings, uint32_t to, struct conn *conn) NODISCARD;
int siblings_give_request(const struct siblings *siblings, uint32_t to, struct request *request)
    NODISCARD;

#endif
