/* SPDX-License-Identifier: MIT */
#include "http/h1.h"

#include "base/panic.h"
#include "http/access.h"
#include "http/errors.h"
#include "http/h1_read.h"
#include "http/h1_state.h"
#include "http/request.h"
#include "http/server.h"
#include "log/limit.h"
#include "log/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    JOIN_MAX_BYTES = 64 * 1024, /* responses to pipelined requests are sent together up to here */
    REFUSAL_MAX_BYTES = 16 * 1024, /* an error page */
};

/* While the server drains: an idle connection may be about to send its next request, and gets this
 * long to be answered rather than reset; one that is new or has begun a request gets longer. */
static const int64_t DRAIN_IDLE_NS = 50 * NS_PER_MS;
static const int64_t DRAIN_BEGUN_NS = NS_PER_SEC;

struct state_handlers {
    void (*readable)(struct h1_conn *h1);
    void (*drained)(struct h1_conn *h1);
    void (*timed_out)(struct h1_conn *h1);
};

static const struct state_handlers STATES[H1_STATES];

static void
release_request(struct h1_conn *h1)
{
    block_release(&h1->conn.loop->blocks, &h1->body.memory);
    request_free(h1->request);
    h1->request = NULL;
}

/* --- the end of a connection --- */

void
h1_wait_for_input(struct h1_conn *h1, enum h1_state state, enum timeout_kind kind)
{
    h1_set_state(h1, state);
    conn_timeout_start(&h1->conn, kind);
    http_server_resume(h1->server);
    conn_set_reading(&h1->conn, true); /* last: it may close */
}

/* Everything is sent: closes at once, or lets a peer that may still be sending read the answer. */
static void
finish_closing(struct h1_conn *h1)
{
    if (!h1->linger) {
        conn_close(&h1->conn);
        return;
    }
    h1->conn.transport->shutdown(&h1->conn);
    block_release(&h1->conn.loop->blocks, &h1->conn.in);
    h1_wait_for_input(h1, H1_LINGERING, TIMEOUT_LINGER);
}

/* Output is queued: what comes next has to wait until the peer has taken it. */
static void
wait_for_reader(struct h1_conn *h1, bool closing)
{
    h1->closing = closing;
    h1_set_state(h1, H1_SENDING);
    conn_timeout_start(&h1->conn, TIMEOUT_WRITE);
}

/* Sends what is queued. True: all of it has gone; false: sending_drained() goes on when it has, or
 * the connection is closed. */
static bool
send_rest(struct h1_conn *h1, bool closing)
{
    struct conn *conn = &h1->conn;
    int rc = conn_pending(conn) > 0 ? conn_flush(conn) : 0;
    if (rc < 0) {
        conn_fail(conn, rc);
        return false;
    }
    if (conn_pending(conn) == 0) {
        return true;
    }
    wait_for_reader(h1, closing);
    return false;
}

void
h1_refuse(struct h1_conn *h1, enum http_error error, struct span detail)
{
    struct conn *conn = &h1->conn;
    struct buf text;
    buf_init(&text, REFUSAL_MAX_BYTES);
    http_error_text(error, detail, &text);
    static struct log_limit limit;
    log_limited(&limit, LOG_LEVEL_WARNING, "Invalid request from ip=%.*s: %.*s",
                (int)conn->peer_text_len, conn->peer_text, (int)text.len, buf_begin(&text));
    buf_clear(&text);
    http_error_response(error, detail, &text);
    bool head_only = h1->request && h1->request->head.method_id == HTTP_METHOD_HEAD;
    conn_put(conn, buf_begin(&text), head_only ? http_error_head_bytes(&text) : text.len);
    if (http_error_info(error)->logged && h1->request) {
        h1->request->base = block_begin(&conn->in);
        access_log_refusal(h1->request, http_error_info(error)->status);
    }
    buf_fini(&text);
    release_request(h1);
    metric_add(&h1->server->metrics->parse_errors, 1);
    conn_set_reading(conn, false);
    h1->linger = true;
    if (send_rest(h1, true)) {
        finish_closing(h1);
    }
}

/* --- between requests --- */

/* The connection has nothing to do for the first time, and may be better off somewhere else. */
static void
place(struct h1_conn *h1)
{
    const struct http_placement *placement = &h1->server->placement;
    h1->placed = true;
    if (placement->place && conn_is_open(&h1->conn)) {
        placement->place(placement->context, &h1->conn);
    }
}

static void
wait_for_request(struct h1_conn *h1)
{
    /* Also when draining: the peer may have been told keep-alive before that began. */
    h1_wait_for_input(h1, H1_WAITING, TIMEOUT_KEEPALIVE);
    if (UNLIKELY(!h1->placed)) {
        place(h1);
    }
}

/* The next request has begun to arrive. If it is complete its response may share a write with what
 * is queued. */
static void
go_on_reading(struct h1_conn *h1)
{
    struct conn *conn = &h1->conn;
    h1_read_on(h1);
    if (!conn_is_open(conn) || conn_pending(conn) == 0) {
        return;
    }
    if (h1->state == H1_RUNNING && conn_pending(conn) < JOIN_MAX_BYTES) {
        return;
    }
    int rc = conn_flush(conn);
    if (rc < 0) {
        conn_fail(conn, rc);
    }
}

/* The server drains: somebody else may go on with the connection. False: it stays here. */
static bool
leave(struct h1_conn *h1)
{
    const struct http_heirs *heirs = &h1->server->heirs;
    if (http_server_ends(h1->server)) {
        return false;
    }
    h1_set_state(h1, H1_WAITING);
    conn_timeout_start(&h1->conn, h1->conn.in.len > 0 ? TIMEOUT_HEAD : TIMEOUT_KEEPALIVE);
    int rc = heirs->pass(heirs->context, &h1->conn);
    (void)rc; /* it is closed here if somebody else has it, and if the peer is gone */
    return !conn_is_open(&h1->conn);
}

static void
next_request(struct h1_conn *h1)
{
    if (UNLIKELY(h1->server->draining) && leave(h1)) {
        return;
    }
    if (h1->conn.in.len > 0) {
        go_on_reading(h1);
        return;
    }
    if (send_rest(h1, false)) {
        wait_for_request(h1);
    }
}

size_t
h1_input_bytes(const struct request *request)
{
    bool body_in_place = request->body == request->base + request->head.head_len;
    return request->head.head_len + (body_in_place ? (size_t)request->body_bytes : 0);
}

void
h1_request_done(struct request *request)
{
    struct conn *conn = request->conn;
    struct h1_conn *h1 = h1_of(conn);
    size_t used = h1_input_bytes(request);
    bool close = request->response.close;
    h1->served = true;
    clock_update(&conn->loop->clock); /* the application may have taken its time */
    ASSERT(h1->request == request);
    release_request(h1);
    conn_unpin(conn);
    if (!conn_is_open(conn)) {
        return;
    }
    block_consume(&conn->loop->blocks, &conn->in, used);
    if (close) {
        h1->linger = conn->in.len > 0;
        if (send_rest(h1, true)) {
            finish_closing(h1);
        }
    } else if (conn_is_behind(conn)) {
        wait_for_reader(h1, false);
    } else {
        next_request(h1);
    }
}

bool
h1_must_close(const struct request *request)
{
    const struct http_server *server = request->server;
    return server->settings.keepalive_ns == 0 || h1_of(request->conn)->last ||
           http_server_ends(server);
}

bool
h1_may_join(const struct request *request, size_t n)
{
    const struct conn *conn = request->conn;
    return conn->in.len > h1_input_bytes(request) && !conn_is_behind(conn) && n < JOIN_MAX_BYTES &&
           conn_pending(conn) < JOIN_MAX_BYTES;
}

void
h1_output_changed(struct conn *conn)
{
    if (conn_pending(conn) == 0) {
        conn_timeout_stop(conn);
    } else if (!conn_timeout_runs(conn, TIMEOUT_WRITE)) {
        conn_timeout_start(conn, TIMEOUT_WRITE); /* from now on only the peer's progress does */
    }
}

/* --- events --- */

static void
sending_drained(struct h1_conn *h1)
{
    conn_timeout_stop(&h1->conn);
    if (h1->closing) {
        finish_closing(h1);
    } else {
        next_request(h1);
    }
}

static void
running_drained(struct h1_conn *h1)
{
    conn_timeout_stop(&h1->conn);
}

static void
ignore(struct h1_conn *h1)
{
    (void)h1;
}

static void
close_silently(struct h1_conn *h1)
{
    conn_close(&h1->conn);
}

static void
refuse_slow(struct h1_conn *h1)
{
    h1_refuse(h1, HTTP_ERR_TIMEOUT, SPAN(""));
}

static const struct state_handlers STATES[H1_STATES] = {
    [H1_WAITING] = {h1_read_head, ignore, close_silently},
    [H1_HEAD] = {h1_read_head, ignore, refuse_slow},
    [H1_BODY] = {h1_read_body, ignore, refuse_slow},
    [H1_RUNNING] = {ignore, running_drained, close_silently},
    [H1_SENDING] = {ignore, sending_drained, close_silently},
    [H1_LINGERING] = {h1_discard_input, ignore, close_silently},
    [H1_CLOSED] = {ignore, ignore, ignore},
};

static void
h1_readable(struct conn *conn)
{
    STATES[h1_of(conn)->state].readable(h1_of(conn));
}

static void
h1_drained(struct conn *conn)
{
    STATES[h1_of(conn)->state].drained(h1_of(conn));
}

static void
h1_progress(struct conn *conn)
{
    uint8_t state = h1_of(conn)->state;
    if (state == H1_RUNNING || state == H1_SENDING) {
        conn_timeout_start(conn, TIMEOUT_WRITE);
    }
}

static void
h1_timed_out(struct conn *conn, enum timeout_kind kind)
{
    (void)kind;
    STATES[h1_of(conn)->state].timed_out(h1_of(conn));
}

static void
h1_closed(struct conn *conn)
{
    struct h1_conn *h1 = h1_of(conn);
    if (h1->state != H1_RUNNING) {
        release_request(h1);
    }
    h1_set_state(h1, H1_CLOSED);
    http_server_conn_closed(h1->server);
}

static void
h1_release(struct conn *conn)
{
    pool_put(&h1_of(conn)->server->conn_pool, h1_of(conn));
}

static const struct protocol h1_protocol = {
    .readable = h1_readable,
    .drained = h1_drained,
    .progress = h1_progress,
    .timed_out = h1_timed_out,
    .closed = h1_closed,
    .release = h1_release,
};

struct h1_conn *
h1_new(struct http_server *server, unsigned listener, int fd, const struct sockaddr *peer)
{
    struct h1_conn *h1 = pool_get(&server->conn_pool);
    struct conn *conn = &h1->conn;
    memset(h1, 0, sizeof(*h1));
    conn_init(conn, server->loop, fd, peer);
    conn->protocol = &h1_protocol;
    conn->spool_directory = server->settings.spool_directory;
    conn->spool_max = server->settings.spool_max_bytes;
    h1->server = server;
    h1->listener = (uint16_t)listener;
    h1->state = H1_WAITING;
    list_append(&server->conns, &conn->node);
    return h1;
}

void
h1_open(struct http_server *server, unsigned listener, int fd, const struct sockaddr *peer)
{
    struct h1_conn *h1 = h1_new(server, listener, fd, peer);
    conn_timeout_start(&h1->conn, TIMEOUT_HEAD);
    /* Most clients send at once: a request that is here already saves a turn of the loop. */
    h1_read_head(h1);
    if (h1->state == H1_WAITING && !h1->placed) {
        place(h1);
    }
}

/* --- to and from other workers --- */

void
h1_let_go(struct h1_conn *h1)
{
    if (h1->state == H1_RUNNING) {
        conn_unpin(&h1->conn);
        h1_set_state(h1, H1_WAITING);
    }
    conn_close(&h1->conn);
}

bool
h1_may_leave(const struct conn *conn)
{
    const struct h1_conn *h1 = CONTAINER_OF(conn, struct h1_conn, conn);
    return h1->state == H1_WAITING || h1->state == H1_HEAD;
}

int64_t
h1_busy_until(struct conn *conn)
{
    const struct h1_conn *h1 = h1_of(conn);
    int64_t since_ns = MAX_OF(conn_timeout_since(conn), h1->server->drain_start_ns);
    switch (h1->state) {
    case H1_BODY:
    case H1_RUNNING:
    case H1_SENDING:
        return INT64_MAX;
    case H1_WAITING:
        return since_ns + (h1->served ? DRAIN_IDLE_NS : DRAIN_BEGUN_NS);
    default:
        return since_ns + DRAIN_BEGUN_NS;
    }
}
