/* SPDX-License-Identifier: MIT */
/*
 * The shared memory of arbiter and workers: one slot per worker, mapped before the first fork, so
 * that every process sees the same bytes at the same address.
 *
 * One writer per field and no locks. The arbiter writes a slot's identity (pid, age, generation)
 * and clears everything else before it forks; from then on everything but the pid is the worker's,
 * until it has been reaped. The arbiter only reads, with nothing but atomic loads, so a worker that
 * dies or runs wild in the middle of a write cannot stop it.
 *
 * Within a worker, state, heartbeat and offer belong to the main thread, metrics, waiting_since_ns
 * and request to whoever holds the loop's lock, or the main thread if there is no loop yet; signal
 * and stacks to signal handlers. `offer` has more writers: another worker may claim the time that
 * is offered. It is a hint, so that one who dies in the middle leaves nothing that does harm.
 */
#ifndef SAOLA_PROC_SLOT_H
#define SAOLA_PROC_SLOT_H

#include "base/clock.h"
#include "base/macros.h"
#include "base/span.h"
#include "log/metrics.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Life of a worker: X(name, text). RETIRING may be skipped, and the end may come at any time. */
#define SLOT_STATES(X)                                                  \
    X(EMPTY, "empty")       /* no process; written by the arbiter */    \
    X(BOOTING, "booting")   /* forked, application not loaded */        \
    X(READY, "ready")       /* loaded, post_worker_init has returned */ \
    X(RETIRING, "retiring") /* serves, and asks for a successor */      \
    X(DRAINING, "draining") /* takes no new connections, finishes what is */

enum slot_state {
#define SLOT_STATE_ENUM(name, text) SLOT_##name,
    SLOT_STATES(SLOT_STATE_ENUM)
#undef SLOT_STATE_ENUM
};

/* What a worker has to offer others that have a request too many. */
enum slot_offer {
    SLOT_OFFERS_NOTHING,
    SLOT_OFFERS_TIME, /* it has nothing to do: a request sent there runs at once */
    SLOT_IS_CLAIMED,  /* it has nothing to do, but a request is on its way */
};

/* Why a worker will not live long. */
enum slot_ending {
    SLOT_FINISHES = 1, /* it still does what it has, unless somebody else does */
    SLOT_ENDS = 2,     /* it can do nothing more for anybody */
};

enum {
    SLOT_CACHE_LINE = 64,
    SLOT_COUNT_MIN = 1024, /* slots there are at least: untouched ones cost no memory */
    SLOT_METHOD_MAX = 24,
    SLOT_URI_MAX = 256,
    SLOT_PEER_MAX = 56,
    SLOT_PANIC_MAX = 512,
};

/* The request in progress, for obituaries and for whoever watches. A sequence lock: `sequence` is
 * odd while the writer is at work. */
struct slot_request {
    _Atomic uint32_t sequence;
    _Atomic uint32_t active;    /* 1 between begin and end */
    _Atomic int64_t started_ns; /* monotonic */
    /* When request_timeout ends it; 0: never. Not under the sequence: it moves by itself. */
    _Atomic int64_t deadline_ns;
    uint8_t method_len;
    uint8_t peer_len;
    uint16_t uri_len; /* bytes below, which may be less than the URI had */
    char method[SLOT_METHOD_MAX];
    char peer[SLOT_PEER_MAX];
    char uri[SLOT_URI_MAX];
};

/* The last signal that was to end the worker, as its handler has seen it. */
struct slot_signal {
    _Atomic uint32_t count; /* how many there were; changes last */
    _Atomic int number;
    _Atomic int code; /* si_code */
    _Atomic pid_t pid;
    _Atomic uid_t uid;
    _Atomic uintptr_t address; /* of a fault */
};

struct slot {
    /* Identity: the arbiter's. */
    _Atomic pid_t pid;
    _Atomic uint32_t generation; /* of the configuration: each reload counts one up */
    _Atomic uint32_t age;        /* number of the fork, from 1 */

    /* The worker's main thread's. */
    _Alignas(SLOT_CACHE_LINE) _Atomic uint32_t state; /* enum slot_state */
    _Atomic int64_t heartbeat_ns;                     /* monotonic; 0: none yet */
    _Atomic int64_t ready_ns;                         /* monotonic; 0: not yet ready */
    _Atomic uint32_t offer;                           /* enum slot_offer; others may claim it */
    _Atomic uint32_t ending; /* enum slot_ending, or'ed; its signal handlers' too */

    /* The worker's, whoever holds the loop's lock. */
    _Alignas(SLOT_CACHE_LINE) struct metrics metrics;
    _Atomic int64_t waiting_since_ns; /* a complete request waits behind another; 0: none does */
    _Alignas(SLOT_CACHE_LINE) struct slot_request request;

    /* Everybody's: messages put into the mailbox of the slot; moved_in of the metrics says how many
     * of them were taken out. */
    _Alignas(SLOT_CACHE_LINE) _Atomic uint32_t mail_sent;
    /* Everybody's: 1: a nudge is in the mailbox; the worker clears it. */
    _Atomic uint32_t nudged;

    /* The worker's signal handlers'. */
    _Alignas(SLOT_CACHE_LINE) struct slot_signal signal;
    _Atomic uint32_t stacks_shown; /* how often it has written its stacks; changes last */
    _Atomic pid_t stacks_for;      /* who has asked for the last ones */

    /* For panic_set_record(): the message of a failed assertion, NUL-terminated. */
    char panic[SLOT_PANIC_MAX];
};

/* What concerns all workers. */
struct slots_common {
    _Alignas(SLOT_CACHE_LINE) _Atomic uint32_t stopping; /* 1: the server ends; the arbiter's */
    _Atomic uint32_t lobby; /* 1: the arbiter of an upgrade takes connections; the arbiter's */
    /* 1: some waiting_since_ns may be set. Whoever sets one, sets it; whoever finds none, clears
     * it. */
    _Alignas(SLOT_CACHE_LINE) _Atomic uint32_t any_waiting;
};

struct slots {
    struct slots_common *common; /* shared mapping, owned; the slots are in it too */
    struct slot *items;
    size_t count;
};

/* Maps the slots for a server that is to start with `workers` workers: SLOT_COUNT_MIN, or more if
 * that leaves no room to grow. Before the first fork. -ENOMEM. */
int slots_init(struct slots *slots, size_t workers) NODISCARD;
void slots_fini(struct slots *slots);

/* Arbiter: an empty slot, cleared and marked BOOTING, or NULL if there is none. */
struct slot *slots_take(struct slots *slots, uint32_t generation, uint32_t age) NODISCARD;

/* Arbiter: likewise that very slot, or NULL if it is not empty. */
struct slot *slots_take_at(struct slots *slots, size_t index, uint32_t generation, uint32_t age)
    NODISCARD;

/* Arbiter, before it signals: no worker has a successor any more. */
void slots_set_stopping(struct slots *slots);
bool slots_stopping(const struct slots *slots);

/* Arbiter: whether its workers may send to the lobby (lobby.h). */
void slots_set_lobby(struct slots *slots, bool open);
bool slots_lobby(const struct slots *slots);

/* Arbiter, once the worker has been reaped (or could not be forked). */
void slot_release(struct slot *slot);

const char *slot_state_name(enum slot_state state);

static inline size_t
slot_index(const struct slots *slots, const struct slot *slot)
{
    return (size_t)(slot - slots->items);
}

static inline void
slot_set_state(struct slot *slot, enum slot_state state)
{
    atomic_store_explicit(&slot->state, (uint32_t)state, memory_order_release);
}

static inline enum slot_state
slot_state(const struct slot *slot)
{
    return (enum slot_state)atomic_load_explicit(&slot->state, memory_order_acquire);
}

/* Worker, main thread and its signal handlers: it has been told to end, whatever it is doing, or
 * does so by itself. */
static inline void
slot_set_ending(struct slot *slot, enum slot_ending how)
{
    atomic_fetch_or_explicit(&slot->ending, (uint32_t)how, memory_order_relaxed);
}

static inline bool
slot_is_ending(const struct slot *slot)
{
    return atomic_load_explicit(&slot->ending, memory_order_relaxed) != 0;
}

static inline bool
slot_ends_at_once(const struct slot *slot)
{
    return (atomic_load_explicit(&slot->ending, memory_order_relaxed) & SLOT_ENDS) != 0;
}

/* The worker takes new connections. One that is RETIRING still does, though not for long. */
static inline bool
slot_serves(const struct slot *slot)
{
    enum slot_state state = slot_state(slot);
    return (state == SLOT_READY || state == SLOT_RETIRING) && !slot_is_ending(slot);
}

/* ... and it will go on doing so. */
static inline bool
slot_goes_on(const struct slot *slot)
{
    return slot_state(slot) == SLOT_READY && !slot_is_ending(slot);
}

/* Messages in its mailbox, as far as that is known. */
static inline uint32_t
slot_mail(const struct slot *slot)
{
    uint32_t sent = atomic_load_explicit(&slot->mail_sent, memory_order_relaxed);
    int32_t left = (int32_t)(sent - (uint32_t)metric_read(&slot->metrics.connections_moved_in));
    return left > 0 ? (uint32_t)left : 0;
}

/* Connections of the worker, with those that it has been sent. */
static inline uint64_t
slot_connections(const struct slot *slot)
{
    return metric_read(&slot->metrics.open_connections) + slot_mail(slot);
}

/* Whether the worker has checked in, whatever it is doing now: it may be told to go, and say that
 * it goes, before it is ready. */
static inline bool
slot_was_ready(const struct slot *slot)
{
    return atomic_load_explicit(&slot->ready_ns, memory_order_relaxed) > 0;
}

/* Worker, main thread: shows that it is alive. `now_ns` is monotonic. */
static inline void
slot_heartbeat(struct slot *slot, int64_t now_ns)
{
    atomic_store_explicit(&slot->heartbeat_ns, now_ns, memory_order_relaxed);
}

static inline int64_t
slot_last_heartbeat(const struct slot *slot)
{
    return atomic_load_explicit(&slot->heartbeat_ns, memory_order_relaxed);
}

/* Worker: a request begins and ends. Texts are cut to what fits. */
void slot_request_begin(struct slot *slot, struct span method, struct span uri, struct span peer,
                        int64_t now_ns);

/* When the request in progress is late, 0 if never. */
static inline int64_t
slot_request_deadline(const struct slot *slot)
{
    return atomic_load_explicit(&slot->request.deadline_ns, memory_order_relaxed);
}

static inline void
slot_request_end(struct slot *slot)
{
    atomic_store_explicit(&slot->request.active, 0, memory_order_relaxed);
}

/* Copies the request in progress, or the last one if the worker is dead; texts come with a NUL.
 * False if there is none, or if its writer did not hold still. */
struct slot_request_view {
    int64_t started_ns;
    char method[SLOT_METHOD_MAX + 1];
    char peer[SLOT_PEER_MAX + 1];
    char uri[SLOT_URI_MAX + 1];
};

bool slot_request_read(const struct slot *slot, struct slot_request_view *ret_view);

#endif
