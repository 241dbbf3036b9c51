/* SPDX-License-Identifier: MIT */
#include "net/loop.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/panic.h"
#include "net/conn.h"

#include <stdlib.h>
#include <unistd.h>

/* How long a peer may take. Generous where a slow but honest client could be hit; each costs a
 * buffer meanwhile, never a thread. The keep-alive time is a setting. */
static const int64_t TIMEOUT_DURATION_NS[TIMEOUT_KINDS] = {
    [TIMEOUT_HEAD] = 60 * NS_PER_SEC,  [TIMEOUT_KEEPALIVE] = 2 * NS_PER_SEC,
    [TIMEOUT_BODY] = 60 * NS_PER_SEC,  [TIMEOUT_WRITE] = 60 * NS_PER_SEC,
    [TIMEOUT_LINGER] = 2 * NS_PER_SEC,
};

static void
loop_woken(struct watch *watch, unsigned events)
{
    (void)events;
    char bytes[64];
    ssize_t got = read(watch->fd, bytes, sizeof(bytes));
    (void)got; /* what is left wakes the next turn */
}

int
loop_init(struct loop *loop)
{
    *loop = (struct loop){.reactor.fd = -1, .wake.fd = -1, .wake_fd = -1};
    pthread_mutex_init(&loop->lock, NULL);
    list_init(&loop->closed);
    blocks_init(&loop->blocks);
    loop->scratch = mem_alloc(LOOP_SCRATCH_BYTES);
    for (unsigned kind = 0; kind < TIMEOUT_KINDS; kind++) {
        timeout_queue_init(&loop->timeouts[kind], TIMEOUT_DURATION_NS[kind]);
    }
    clock_update(&loop->clock);
    int rc = reactor_init(&loop->reactor);
    if (rc < 0) {
        goto fail;
    }
    int fds[2];
    rc = fd_pipe(fds);
    if (rc < 0) {
        goto fail;
    }
    loop->wake = (struct watch){.fd = fds[0], .ready = loop_woken};
    loop->wake_fd = fds[1];
    rc = reactor_set(&loop->reactor, &loop->wake, REACTOR_READ);
    if (rc < 0) {
        goto fail;
    }
    return 0;
fail:
    loop_fini(loop);
    return rc;
}

void
loop_fini(struct loop *loop)
{
    fd_close(&loop->wake.fd);
    fd_close(&loop->wake_fd);
    reactor_fini(&loop->reactor);
    blocks_fini(&loop->blocks);
    free(loop->scratch);
    loop->scratch = NULL;
    pthread_mutex_destroy(&loop->lock);
}

void
loop_wake(struct loop *loop)
{
    ssize_t written = write(loop->wake_fd, "", 1);
    (void)written; /* full: the wake-up is pending already */
}

int
loop_timeout_ms(const struct loop *loop, int max_ms)
{
    int64_t wait_ns = max_ms * NS_PER_MS;
    for (unsigned kind = 0; kind < TIMEOUT_KINDS; kind++) {
        const struct timeout_queue *queue = &loop->timeouts[kind];
        const struct timeout *oldest = queue->duration_ns > 0 ? timeout_oldest(queue) : NULL;
        if (oldest) {
            wait_ns = MIN_OF(wait_ns, oldest->deadline_ns - loop->clock.mono_ns);
        }
    }
    /* Rounded up, or the last millisecond would be spent spinning. */
    return wait_ns <= 0 ? 0 : (int)((wait_ns + NS_PER_MS - 1) / NS_PER_MS);
}

int
loop_wait(struct loop *loop, int timeout_ms)
{
    loop->n_events = 0;
    int n = reactor_wait(&loop->reactor, loop->events, LOOP_BATCH, timeout_ms);
    if (n > 0) {
        loop->n_events = n;
    }
    return n;
}

static void
run_timeouts(struct loop *loop)
{
    for (unsigned kind = 0; kind < TIMEOUT_KINDS; kind++) {
        struct timeout *timeout;
        while ((timeout = timeout_expired(&loop->timeouts[kind], loop->clock.mono_ns)) != NULL) {
            timeout_stop(timeout);
            conn_timed_out(timeout, (enum timeout_kind)kind);
        }
    }
}

static void
free_closed(struct loop *loop)
{
    struct list *node;
    while ((node = list_first(&loop->closed)) != NULL) {
        struct conn *conn = LIST_ENTRY(node, struct conn, node);
        list_remove(node);
        conn_release(conn);
    }
}

void
loop_dispatch(struct loop *loop, struct reactor_event *events, int n)
{
    clock_update(&loop->clock);
    for (int i = 0; i < n; i++) {
        /* A watch whose descriptor was closed earlier in this turn still has its memory. */
        if (events[i].watch->fd >= 0) {
            events[i].watch->ready(events[i].watch, events[i].events);
        }
    }
    run_timeouts(loop);
}

void
loop_turn_end(struct loop *loop)
{
    if (loop->turn_end) {
        loop->turn_end(loop->turn_end_context);
    }
    free_closed(loop);
}

void
loop_turn(struct loop *loop)
{
    int n = loop->n_events;
    loop->n_events = 0;
    loop_dispatch(loop, loop->events, n);
}
