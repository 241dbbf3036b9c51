/* SPDX-License-Identifier: MIT */
#include "app/inline.h"

#include "base/clock.h"
#include "base/panic.h"
#include "http/request.h"
#include "http/server.h"
#include "net/conn.h"

enum {
    WAIT_MAX_MS = 500,
    TURN_MAX_MS = 50, /* after which no other request is begun in the same turn */
};

/* A request that has waited so long for others is not to wait for the next one as well, if somebody
 * else has time for it. */
static const int64_t CROWDED_NS = 2 * NS_PER_MS;

static struct inline_executor *
inline_of(struct executor *executor)
{
    return CONTAINER_OF(executor, struct inline_executor, executor);
}

/* Responses that were kept back to be joined with the next one must not wait for a slow
 * application. */
static void
flush_joined(struct conn *conn)
{
    int rc = conn_is_open(conn) && conn_pending(conn) > 0 ? conn_flush(conn) : 0;
    if (rc < 0) {
        conn_fail(conn, rc);
    }
}

static void
inline_handover(void *context, bool to_standby)
{
    struct inline_executor *inline_executor = context;
    if (!inline_executor->server->draining) {
        http_server_accept(inline_executor->server, !to_standby);
    }
    if (!to_standby) {
        return;
    }
    /* Its request may be over while the visit goes on, but until the end of the turn, below, the
     * connection has its memory. */
    if (inline_executor->current) {
        flush_joined(inline_executor->current);
    }
    struct list *ready = &inline_executor->ready;
    for (struct list *node = ready->next; node != ready; node = node->next) {
        flush_joined(LIST_ENTRY(node, struct request, node)->conn);
    }
    loop_turn_end(inline_executor->server->loop); /* access log lines likewise */
}

static int
inline_look(void *context)
{
    struct inline_executor *inline_executor = context;
    int look_ms = deadline_look(&inline_executor->deadline, clock_mono_ns());
    if (inline_executor->crowded) {
        int crowded_ms = inline_executor->crowded(inline_executor->context);
        look_ms = MIN_OF(look_ms, crowded_ms);
    }
    return look_ms;
}

static int
inline_start(struct executor *executor)
{
    struct inline_executor *inline_executor = inline_of(executor);
    inline_executor->standby.handover = inline_handover;
    inline_executor->standby.look = inline_look;
    inline_executor->standby.context = inline_executor;
    return standby_start(&inline_executor->standby, inline_executor->server->loop);
}

/* The next request, or NULL. Lock held. */
static struct request *
take_ready(struct inline_executor *inline_executor)
{
    struct list *node = list_first(&inline_executor->ready);
    if (node == NULL) {
        inline_executor->current = NULL;
        return NULL;
    }
    list_remove(node);
    struct request *request = LIST_ENTRY(node, struct request, node);
    inline_executor->current = request->conn;
    return request;
}

/* What was not run goes back, and its connection is closed. */
static void
inline_stop(struct executor *executor)
{
    struct inline_executor *inline_executor = inline_of(executor);
    struct loop *loop = inline_executor->server->loop;
    struct request *request;
    standby_stop(&inline_executor->standby);
    loop_lock(loop);
    while ((request = take_ready(inline_executor)) != NULL) {
        loop_unlock(loop);
        response_abort(request);
        request_done(request);
        loop_lock(loop);
    }
    loop_unlock(loop);
}

static void
inline_submit(struct executor *executor, struct request *request)
{
    list_append(&inline_of(executor)->ready, &request->node);
}

static void
run(struct inline_executor *inline_executor, struct request *request)
{
    if (inline_executor->observe) {
        inline_executor->observe(inline_executor->context, request);
    }
    standby_app_enter(&inline_executor->standby);
    inline_executor->application.call(inline_executor->application.context, request);
    standby_app_leave(&inline_executor->standby);
}

static bool
is_crowded(const struct inline_executor *inline_executor)
{
    const struct list *node = list_first(&inline_executor->ready);
    if (LIKELY(node == NULL) || inline_executor->crowded == NULL) {
        return false;
    }
    int64_t since_ns = LIST_ENTRY(node, struct request, node)->start_ns;
    return inline_executor->server->loop->clock.mono_ns - since_ns > CROWDED_NS;
}

/* Not until nothing is ready: under load, when the standby reads as fast as the application
 * answers, that would be never, and the turn is where the worker shows that it lives. */
static bool
inline_turn(struct executor *executor)
{
    struct inline_executor *inline_executor = inline_of(executor);
    struct loop *loop = inline_executor->server->loop;
    struct request *request;
    loop_lock(loop);
    int64_t end_ns = loop->clock.mono_ns + TURN_MAX_MS * NS_PER_MS;
    while (!inline_executor->stopping && loop->clock.mono_ns < end_ns &&
           (request = take_ready(inline_executor)) != NULL) {
        loop_unlock(loop);
        run(inline_executor, request);
        loop_lock(loop);
        standby_recall(&inline_executor->standby);
        if (UNLIKELY(is_crowded(inline_executor))) {
            (void)inline_executor->crowded(inline_executor->context);
        }
    }
    bool more = !list_empty(&inline_executor->ready);
    loop_unlock(loop);
    return more;
}

/* The application waits for its peer: meanwhile the main thread itself drives the loop. */
static void
inline_wait(struct executor *executor, struct request *request)
{
    struct inline_executor *inline_executor = inline_of(executor);
    struct loop *loop = inline_executor->server->loop;
    (void)request;
    standby_app_leave(&inline_executor->standby);
    loop_lock(loop);
    standby_recall(&inline_executor->standby);
    loop_turn_end(loop);
    int timeout_ms = loop_timeout_ms(loop, WAIT_MAX_MS);
    int look_ms = inline_look(inline_executor);
    timeout_ms = MIN_OF(timeout_ms, look_ms);
    loop_unlock(loop);
    int n = loop_wait(loop, timeout_ms);
    (void)n; /* an interruption is as good as an event: the caller looks again */
    loop_lock(loop);
    loop_turn(loop);
    loop_unlock(loop);
    if (inline_executor->idle) {
        inline_executor->idle(inline_executor->context);
    }
    standby_app_enter(&inline_executor->standby);
}

static const struct executor_ops INLINE_OPS = {
    .start = inline_start,
    .submit = inline_submit,
    .wait = inline_wait,
    .turn = inline_turn,
    .stop = inline_stop,
};

void
inline_executor_init(struct inline_executor *inline_executor, struct http_server *server,
                     const struct application *application)
{
    *inline_executor = (struct inline_executor){
        .executor = {.ops = &INLINE_OPS},
        .server = server,
        .application = *application,
        .standby = {.recall_fd = -1},
    };
    list_init(&inline_executor->ready);
}

bool
inline_executor_is_running(const struct inline_executor *inline_executor)
{
    return standby_in_app(&inline_executor->standby);
}

void
inline_executor_offer(struct inline_executor *inline_executor,
                      int (*offer)(void *context, struct request *request), void *context)
{
    struct list *ready = &inline_executor->ready;
    struct list *next;
    for (struct list *node = ready->next; node != ready; node = next) {
        next = node->next;
        struct list *before = node->prev;
        list_remove(node);
        if (offer(context, LIST_ENTRY(node, struct request, node)) < 0) {
            list_prepend(before, node);
        }
    }
}
