/* SPDX-License-Identifier: MIT */
#include "proc/siblings.h"

#include "http/h1_transfer.h"
#include "proc/mailboxes.h"
#include "proc/slot.h"

#include <errno.h>

/* What is given away, and how: the sender of one thing to one mailbox. */
struct parcel {
    int (*send)(const struct parcel *parcel, int mailbox_fd);
    struct conn *conn;
    struct request *request;
    int from_fd;
};

static int
send_conn(const struct parcel *parcel, int mailbox_fd)
{
    return h1_move(parcel->conn, mailbox_fd);
}

static int
send_request(const struct parcel *parcel, int mailbox_fd)
{
    return h1_move_request(parcel->request, mailbox_fd);
}

static int
send_mail(const struct parcel *parcel, int mailbox_fd)
{
    return mailbox_forward(parcel->from_fd, mailbox_fd);
}

static bool
takes_mail(const struct siblings *siblings, uint32_t index)
{
    const struct slot *slot = &siblings->slots->items[index];
    bool boots = slot_state(slot) == SLOT_BOOTING && !slot_is_ending(slot);
    return index != siblings->self && (slot_serves(slot) || boots);
}

/* Another arbiter takes what would have to be closed here. */
static bool
has_lobby(const struct siblings *siblings)
{
    return siblings->mailboxes->lobby_fd >= 0 && slots_lobby(siblings->slots);
}

bool
siblings_any(const struct siblings *siblings)
{
    if (siblings->over) {
        return false;
    }
    if (has_lobby(siblings)) {
        return true;
    }
    if (slots_stopping(siblings->slots)) {
        return false;
    }
    for (uint32_t i = 0; i < siblings->mailboxes->count; i++) {
        if (takes_mail(siblings, i)) {
            return true;
        }
    }
    return false;
}

/* How gladly a worker is given something: one that retires would have to give it away before long,
 * and one that boots reads its mail only when it is ready. */
static uint64_t
reluctance(const struct slot *slot)
{
    switch (slot_state(slot)) {
    case SLOT_BOOTING:
        return 2;
    case SLOT_RETIRING:
        return 1;
    default:
        return 0;
    }
}

/* A number for each worker, smaller the better: first of all how gladly, then how few connections.
 */
static uint64_t
rank(const struct siblings *siblings, uint32_t index)
{
    const struct slot *slot = &siblings->slots->items[index];
    return reluctance(slot) << 60 | slot_connections(slot) << 16 | index;
}

/* The best of those that come after `*after`, which becomes its rank. */
static bool
next_best(const struct siblings *siblings, uint64_t *after, uint32_t *ret_index)
{
    uint64_t best = UINT64_MAX;
    for (uint32_t i = 0; i < siblings->mailboxes->count; i++) {
        if (takes_mail(siblings, i)) {
            uint64_t ours = rank(siblings, i) + 1;
            best = ours > *after && ours < best ? ours : best;
        }
    }
    if (best == UINT64_MAX) {
        return false;
    }
    *after = best;
    *ret_index = (uint32_t)(best - 1) & UINT16_MAX;
    return true;
}

bool
siblings_fewest(const struct siblings *siblings, uint32_t *ret_index)
{
    uint64_t after = 0;
    uint32_t index;
    if (!next_best(siblings, &after, &index) || !slot_goes_on(&siblings->slots->items[index])) {
        return false;
    }
    *ret_index = index;
    return true;
}

int
siblings_nudge(const struct siblings *siblings, uint32_t to)
{
    return mailbox_nudge(siblings->mailboxes->items[to].write_fd);
}

static int
give(const struct siblings *siblings, uint32_t to, const struct parcel *parcel)
{
    struct slot *slot = &siblings->slots->items[to];
    /* Counted before, so that the receiver is never ahead. */
    atomic_fetch_add(&slot->mail_sent, 1);
    int rc = parcel->send(parcel, siblings->mailboxes->items[to].write_fd);
    if (rc < 0) {
        atomic_fetch_sub(&slot->mail_sent, 1);
    }
    return rc;
}

/* Whether this worker has to get rid of everything, because nothing will be left of it. One that
 * may finish what it has must not leave it to somebody who need not come: not after WINCH. */
static bool
ends_at_once(const struct siblings *siblings)
{
    return siblings->self != SIBLINGS_NOBODY &&
           slot_ends_at_once(&siblings->slots->items[siblings->self]);
}

/* To nobody yet: the arbiter finds it, and forks the next worker into that slot, or passes it on.
 */
static int
leave(const struct siblings *siblings, const struct parcel *parcel)
{
    int rc = -ENOENT;
    for (uint32_t i = 0; i < siblings->mailboxes->count; i++) {
        if (i != siblings->self && slot_state(&siblings->slots->items[i]) == SLOT_EMPTY) {
            rc = give(siblings, i, parcel);
            if (rc != -EAGAIN) {
                break;
            }
        }
    }
    return rc;
}

/* To the best that has room. */
static int
pass(const struct siblings *siblings, const struct parcel *parcel)
{
    uint64_t after = 0;
    uint32_t index;
    int rc = -ENOENT;
    if (siblings->over) {
        return rc;
    }
    while (!slots_stopping(siblings->slots) && next_best(siblings, &after, &index)) {
        rc = give(siblings, index, parcel);
        if (rc != -EAGAIN) {
            break;
        }
    }
    if (rc == -ENOENT && has_lobby(siblings)) {
        rc = parcel->send(parcel, siblings->mailboxes->lobby_fd);
    }
    if ((rc == -ENOENT || rc == -EAGAIN) && ends_at_once(siblings) &&
        !slots_stopping(siblings->slots)) {
        rc = leave(siblings, parcel);
    }
    return rc;
}

int
siblings_pass(const struct siblings *siblings, struct conn *conn)
{
    return pass(siblings, &(struct parcel){.send = send_conn, .conn = conn});
}

int
siblings_pass_request(const struct siblings *siblings, struct request *request)
{
    return pass(siblings, &(struct parcel){.send = send_request, .request = request});
}

int
siblings_forward(const struct siblings *siblings, int from_fd)
{
    return pass(siblings, &(struct parcel){.send = send_mail, .from_fd = from_fd});
}

int
siblings_give(const struct siblings *siblings, uint32_t to, struct conn *conn)
{
    return give(siblings, to, &(struct parcel){.send = send_conn, .conn = conn});
}

int
siblings_give_request(const struct siblings *siblings, uint32_t to, struct request *request)
{
    return give(siblings, to, &(struct parcel){.send = send_request, .request = request});
}
