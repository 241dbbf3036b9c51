/* SPDX-License-Identifier: MIT */
#include "http/h1_read.h"

#include "http/errors.h"
#include "http/h1_state.h"
#include "http/request.h"
#include "http/server.h"
#include "log/log.h"

#include <errno.h>
#include <string.h>

enum {
    LINGER_MAX_BYTES = 256 * 1024, /* thrown away before the connection is closed all the same */
    DETAIL_MAX_BYTES = 16 * 1024,  /* what was wrong with a head */
};

static void
hand_over(struct h1_conn *h1, int64_t complete_ns)
{
    struct conn *conn = &h1->conn;
    struct request *request = h1->request;
    request->base = block_begin(&conn->in);
    if (request->spool.fd < 0 && request->body_bytes > 0) {
        request->body = h1->body.memory.data ? block_begin(&h1->body.memory)
                                             : request->base + request->head.head_len;
    }
    request->start_ns = complete_ns;
    h1_set_state(h1, H1_RUNNING);
    conn_timeout_stop(conn);
    conn_set_reading(conn, false);
    conn_pin(conn);
    h1->server->handler.submit(h1->server->handler.context, request);
}

static void
submit(struct h1_conn *h1)
{
    metric_add(&h1->server->metrics->requests, 1);
    hand_over(h1, h1->conn.loop->clock.mono_ns);
}

/* Takes bytes of the body; H1_ERROR: the request has been refused. */
static enum h1_result
feed_body(struct h1_conn *h1, struct span data, size_t *ret_used)
{
    enum http_error error;
    struct span detail;
    enum h1_result result = h1_body_feed(&h1->body, h1->request, data, ret_used, &error, &detail);
    if (result == H1_ERROR) {
        h1_refuse(h1, error, detail);
    }
    return result;
}

void
h1_read_body(struct h1_conn *h1)
{
    struct conn *conn = &h1->conn;
    ssize_t got = conn_read_scratch(conn);
    if (got == -EAGAIN) {
        return;
    }
    if (got <= 0) {
        log_debug("Ignored premature client disconnection.");
        conn_close(conn);
        return;
    }
    size_t used;
    struct span data = {conn->loop->scratch, (size_t)got};
    enum h1_result result = feed_body(h1, data, &used);
    if (result == H1_MORE) {
        conn_timeout_start(conn, TIMEOUT_BODY);
    } else if (result == H1_DONE) {
        if (used < data.n) {
            block_append(&conn->loop->blocks, &conn->in, data.p + used, data.n - used);
        }
        submit(h1);
    }
}

/* The head is complete but the body is not, or it is chunked: takes what has come of it out of
 * `in`, where only the head and later requests remain. */
static void
begin_body(struct h1_conn *h1)
{
    struct conn *conn = &h1->conn;
    const struct h1_head *head = &h1->request->head;
    h1_body_begin(&h1->body, h1->request);
    h1_set_state(h1, H1_BODY);
    char *body = block_begin(&conn->in) + head->head_len;
    struct span data = {body, conn->in.len - head->head_len};
    size_t used = 0;
    enum h1_result result = feed_body(h1, data, &used);
    if (result == H1_ERROR) {
        return;
    }
    memmove(body, body + used, data.n - used);
    conn->in.len -= (uint32_t)used;
    if (result == H1_DONE) {
        submit(h1);
        return;
    }
    h1_wait_for_input(h1, H1_BODY, TIMEOUT_BODY);
}

static bool
is_trusted(struct h1_conn *h1)
{
    if (!h1->trust_known) {
        struct span peer = span_of(h1->conn.peer_text, h1->conn.peer_text_len);
        h1->trusted = peer.n == 0 || network_list_has(&h1->server->settings.trusted, peer);
        h1->trust_known = true;
    }
    return h1->trusted;
}

/* False: the request has been refused. */
static bool
apply_policy(struct h1_conn *h1)
{
    struct h1_head *head = &h1->request->head;
    struct span detail = {NULL, 0};
    enum http_error error = h1_head_apply_policy(
        head, block_begin(&h1->conn.in), &h1->server->settings.policy, is_trusted(h1), &detail);
    if (error != HTTP_OK) {
        h1_refuse(h1, error, detail);
        return false;
    }
    h1->request->https = head->scheme == H1_SCHEME_HTTPS;
    return true;
}

static void
head_complete(struct h1_conn *h1)
{
    struct conn *conn = &h1->conn;
    struct request *request = h1->request;
    const struct h1_head *head = &request->head;
    if (!apply_policy(h1)) {
        return;
    }
    if (head->expect_continue) {
        static const struct span CONTINUE = SPAN("HTTP/1.1 100 Continue\r\n\r\n");
        conn_put(conn, CONTINUE.p, CONTINUE.n);
        int rc = conn_flush(conn);
        if (rc < 0) {
            conn_fail(conn, rc);
            return;
        }
    }
    int64_t arrived = (int64_t)conn->in.len - head->head_len;
    if (head->chunked || head->content_length > arrived) {
        begin_body(h1);
        return;
    }
    request->body_bytes = MAX_OF(head->content_length, 0);
    submit(h1);
}

static void
refuse_head(struct h1_conn *h1)
{
    struct buf detail;
    buf_init(&detail, DETAIL_MAX_BYTES);
    h1_parser_detail(&h1->parser, &h1->server->settings.limits, block_begin(&h1->conn.in), &detail);
    h1_refuse(h1, h1->parser.error, buf_span(&detail));
    buf_fini(&detail);
}

/* Long heads that are not complete would fill the memory if there were many. */
static bool
is_too_much(const struct h1_conn *h1)
{
    return h1->conn.in.len > HTTP_HEAD_SPARE_BYTES &&
           h1->conn.loop->blocks.used_bytes > HTTP_BUFFER_BUDGET_BYTES;
}

static enum h1_result
parse(struct h1_conn *h1, size_t bytes)
{
    if (h1->request == NULL) {
        h1->request = request_new(h1->server, &h1->conn);
        h1->request->number = ++h1->requests;
        h1_parser_init(&h1->parser);
    }
    return h1_parse_head(&h1->parser, &h1->server->settings.limits, block_begin(&h1->conn.in),
                         bytes, &h1->request->head);
}

void
h1_read_on(struct h1_conn *h1)
{
    enum h1_result result = parse(h1, h1->conn.in.len);
    if (LIKELY(result == H1_DONE)) {
        head_complete(h1);
    } else if (result == H1_ERROR) {
        refuse_head(h1);
    } else if (is_too_much(h1)) {
        h1_refuse(h1, HTTP_ERR_HEAD_SIZE, SPAN(""));
    } else if (h1->state != H1_HEAD) {
        h1_wait_for_input(h1, H1_HEAD, TIMEOUT_HEAD);
    }
}

void
h1_read_head(struct h1_conn *h1)
{
    struct conn *conn = &h1->conn;
    ssize_t got = conn_read(conn);
    if (LIKELY(got > 0)) {
        h1_read_on(h1);
    } else if (got == -EAGAIN) {
        conn_set_reading(conn, true);
    } else {
        log_debug("%s", h1->state == H1_HEAD ? "Ignored premature client disconnection."
                                             : "Closing connection.");
        conn_close(conn);
    }
}

void
h1_discard_input(struct h1_conn *h1)
{
    ssize_t got = conn_read_scratch(&h1->conn);
    if (got == -EAGAIN) {
        return;
    }
    if (got > 0) {
        h1->discarded += (uint32_t)got;
    }
    if (got <= 0 || h1->discarded > LINGER_MAX_BYTES) {
        conn_close(&h1->conn);
    }
}

/* --- from another worker --- */

void
h1_resume(struct h1_conn *h1)
{
    if (h1->conn.in.len > 0) {
        h1_set_state(h1, H1_HEAD); /* so that its timeout is left as it is */
        h1_read_on(h1);
        if (h1->state != H1_HEAD) {
            return;
        }
    }
    /* At once: its time may be up, but not if the peer has said something meanwhile. */
    h1_read_head(h1);
}

void
h1_resume_request(struct h1_conn *h1, size_t head_bytes, int64_t body_bytes, int spool_fd,
                  int64_t complete_ns)
{
    enum h1_result result = parse(h1, head_bytes);
    struct request *request = h1->request;
    if (spool_fd >= 0) {
        request->spool = (struct spool){.fd = spool_fd, .write = body_bytes};
    }
    request->body_bytes = body_bytes;
    if (result == H1_DONE && request->head.head_len == head_bytes) {
        if (apply_policy(h1)) {
            hand_over(h1, complete_ns);
        }
    } else if (result == H1_ERROR) {
        refuse_head(h1); /* the limits are not what they were */
    } else {
        conn_close(&h1->conn);
    }
}
