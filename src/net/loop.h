/* SPDX-License-Identifier: MIT */
/*
 * The loop of a worker: one reactor, one mutex, and everything that connections share. One thread
 * drives it at a time: the main thread, or the standby while the application holds the main thread.
 *
 * Order of a turn, kept by the code:
 *   loop_wait     take events                                   without the lock
 *   loop_turn     update the clock; accept, read, parse, write; run timeouts    with the lock
 *   the executor  runs the application for what became ready    without the lock
 *   loop_turn_end write logs; free what was closed              with the lock
 * Nobody holds the lock while waiting or while running Python. Nobody but the driver calls
 * loop_wait and loop_turn; any thread may take the lock to touch a connection.
 */
#ifndef SAOLA_NET_LOOP_H
#define SAOLA_NET_LOOP_H

#include "base/clock.h"
#include "base/list.h"
#include "base/macros.h"
#include "net/blocks.h"
#include "net/reactor.h"
#include "net/timeout.h"

#include <pthread.h>
#include <stdint.h>

enum {
    LOOP_BATCH = 64,            /* events taken in one turn */
    LOOP_SCRATCH_BYTES = 65536, /* what one read may bring */
};

/* Why a connection may be closed for taking too long. */
enum timeout_kind {
    TIMEOUT_HEAD,      /* from the first byte, or the accept, to the end of the request head */
    TIMEOUT_KEEPALIVE, /* between requests */
    TIMEOUT_BODY,      /* between two reads of a request body */
    TIMEOUT_WRITE,     /* between two writes that the peer took */
    TIMEOUT_LINGER,    /* reading and discarding after the last response */
    TIMEOUT_KINDS,
};

struct loop {
    pthread_mutex_t lock;
    struct reactor reactor;
    struct clock clock; /* as of the beginning of the turn */
    struct timeout_queue timeouts[TIMEOUT_KINDS];
    struct list closed;   /* struct conn: freed at the end of the turn */
    struct blocks blocks; /* memory of read and write buffers */
    char *scratch;        /* LOOP_SCRATCH_BYTES; valid within one read only */
    struct watch wake;    /* read end of a pipe: makes loop_wait return */
    int wake_fd;          /* its write end; whoever writes a byte wakes the driver */
    struct reactor_event events[LOOP_BATCH]; /* of the main thread's loop_wait */
    void (*turn_end)(void *context);         /* NULL: none. See loop_turn_end() */
    void *turn_end_context;
    int n_events;
};

int loop_init(struct loop *loop) NODISCARD;
void loop_fini(struct loop *loop);

static inline void
loop_lock(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
}

static inline void
loop_unlock(struct loop *loop)
{
    pthread_mutex_unlock(&loop->lock);
}

/* Milliseconds until the first timeout, at most `max_ms`. Lock held. */
int loop_timeout_ms(const struct loop *loop, int max_ms);

/* Main thread, lock not held: waits for events, up to `timeout_ms`. -EINTR after a signal. */
int loop_wait(struct loop *loop, int timeout_ms);

/* Main thread, lock held: acts on what loop_wait brought. */
void loop_turn(struct loop *loop);

/* Any driver, lock held: acts on `n` events. */
void loop_dispatch(struct loop *loop, struct reactor_event *events, int n);

/* Any driver, lock held: the last thing before it waits. Frees what was closed and calls
 * `turn_end`: what was collected during the turn, such as access log lines, goes out. */
void loop_turn_end(struct loop *loop);

/* Any thread or signal handler: the driver's wait returns. */
void loop_wake(struct loop *loop);

#endif
