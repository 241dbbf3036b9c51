/* SPDX-License-Identifier: MIT */
#include "http/response.h"

#include "base/num.h"
#include "base/panic.h"
#include "http/access.h"
#include "http/errors.h"
#include "http/h1.h"
#include "http/request.h"
#include "http/response_head.h"
#include "http/server.h"
#include "net/conn.h"

#include <errno.h>
#include <string.h>

enum {
    SIZE_LINE_MAX = NUM_HEX_MAX + 2,
    ERROR_PAGE_MAX_BYTES = 16 * 1024,
};

#define CHUNK_END SPAN("\r\n")
#define BODY_END SPAN("0\r\n\r\n")
#define CHUNK_AND_BODY_END SPAN("\r\n0\r\n\r\n")

/* --- the head --- */

int
response_start(struct request *request, const struct response_head *head, size_t *ret_field)
{
    struct response *response = &request->response;
    ASSERT(!response->sent);
    struct head_plan plan;
    int rc = head_plan_make(&plan, request, head, ret_field);
    if (rc < 0) {
        return rc;
    }
    struct loop *loop = request->server->loop;
    loop_lock(loop);
    clock_update_date(&loop->clock);
    block_release(&loop->blocks, &response->head);
    head_plan_decide(&plan, request);
    head_plan_render(&plan, request, head, &response->head);
    response->started = true;
    loop_unlock(loop);
    return 0;
}

int
response_inform(struct request *request, const struct response_head *head, size_t *ret_field)
{
    struct head_plan plan;
    int rc = head_plan_make(&plan, request, head, ret_field);
    if (rc < 0) {
        return rc;
    }
    if (!request_is_http_1_1(request) || request->response.sent) {
        return 0;
    }
    struct loop *loop = request->server->loop;
    struct conn *conn = request->conn;
    loop_lock(loop);
    if (conn_is_open(conn)) {
        head_plan_render_informational(&plan, request, head, &conn->out);
        int sent = conn_flush(conn);
        if (sent < 0) {
            conn_fail(conn, sent);
        }
    }
    loop_unlock(loop);
    return 0;
}

/* --- the body --- */

/* What of `bytes` belongs to the body; counts it. */
static struct span
admit(struct request *request, struct span bytes)
{
    struct response *response = &request->response;
    if (response->framing == FRAMING_NONE) {
        response->dropped_body |= bytes.n > 0;
        bytes.n = 0;
    } else if (response->framing == FRAMING_LENGTH) {
        bytes.n = (size_t)MIN_OF((int64_t)bytes.n, response->length - response->body_bytes);
    }
    response->body_bytes += (int64_t)bytes.n;
    return bytes;
}

/* Gathers what goes out now: the head if it has not gone, the bytes in their framing. */
struct gathered {
    struct iovec iov[CONN_IOV_MAX];
    int n;
    size_t bytes;
    char size_line[SIZE_LINE_MAX];
};

/* The line before a chunk (RFC 9112 section 7.1). */
static struct span
size_line(uint64_t chunk_bytes, char out[SIZE_LINE_MAX])
{
    size_t digits = num_to_hex(chunk_bytes, out);
    memcpy(out + digits, "\r\n", 2);
    return span_of(out, digits + 2);
}

static void
gather(struct gathered *g, struct span part)
{
    if (part.n > 0) {
        g->iov[g->n++] = (struct iovec){(void *)(uintptr_t)part.p, part.n};
        g->bytes += part.n;
    }
}

static void
gather_body(struct gathered *g, struct response *response, struct span bytes, bool last)
{
    if (response->framing != FRAMING_CHUNKED) {
        gather(g, bytes);
        return;
    }
    if (bytes.n > 0) {
        gather(g, size_line(bytes.n, g->size_line));
        gather(g, bytes);
        gather(g, last ? CHUNK_AND_BODY_END : CHUNK_END);
    } else if (last) {
        gather(g, BODY_END);
    }
}

/* Sends what was gathered, or queues it if the response to the next request comes soon. Lock held.
 */
static int
send_gathered(struct request *request, struct gathered *g, bool last)
{
    struct conn *conn = request->conn;
    int rc = 0;
    if (last && h1_may_join(request, g->bytes)) {
        for (int i = 0; i < g->n; i++) {
            conn_put(conn, g->iov[i].iov_base, g->iov[i].iov_len);
        }
    } else if (g->n > 0) {
        rc = conn_writev(conn, g->iov, g->n);
    }
    if (rc < 0) {
        conn_fail(conn, rc);
        return rc;
    }
    h1_output_changed(conn);
    return conn_is_full(conn) ? 1 : 0;
}

int
response_write(struct request *request, struct span bytes, bool last)
{
    struct response *response = &request->response;
    ASSERT(response->started && !response->ended);
    struct loop *loop = request->server->loop;
    struct gathered g = {.n = 0};
    int rc = -EPIPE;
    loop_lock(loop);
    bytes = admit(request, bytes);
    if (conn_is_open(request->conn)) {
        gather(&g, span_of(block_begin(&response->head), response->head.len));
        gather_body(&g, response, bytes, last);
        rc = send_gathered(request, &g, last);
    }
    block_release(&loop->blocks, &response->head);
    response->sent = true;
    response->ended = last;
    loop_unlock(loop);
    return rc;
}

int
response_send_file(struct request *request, int fd, int64_t offset, int64_t length)
{
    struct response *response = &request->response;
    struct loop *loop = request->server->loop;
    struct conn *conn = request->conn;
    if (response->framing == FRAMING_LENGTH) {
        length = MIN_OF(length, response->length - response->body_bytes);
    }
    if (response->framing == FRAMING_NONE || length <= 0) {
        response->dropped_body |= length > 0 && response->framing == FRAMING_NONE;
        return response_write(request, SPAN(""), true);
    }
    loop_lock(loop);
    int rc = -EPIPE;
    if (conn_is_open(conn)) {
        struct span tail = {NULL, 0};
        conn_put(conn, block_begin(&response->head), response->head.len);
        if (response->framing == FRAMING_CHUNKED) {
            char line[SIZE_LINE_MAX];
            struct span size = size_line((uint64_t)length, line);
            conn_put(conn, size.p, size.n);
            tail = CHUNK_AND_BODY_END;
        }
        rc = conn_send_file(conn, fd, offset, length, tail);
        if (rc < 0) {
            conn_fail(conn, rc);
        } else {
            h1_output_changed(conn);
        }
    }
    block_release(&loop->blocks, &response->head);
    response->body_bytes += length;
    response->sent = true;
    response->ended = true;
    loop_unlock(loop);
    return rc;
}

/* -EPIPE, 1 or 0, as response_write(). */
static int
progress_of(const struct request *request)
{
    struct loop *loop = request->server->loop;
    loop_lock(loop);
    int rc = -EPIPE;
    if (conn_is_open(request->conn)) {
        rc = conn_is_full(request->conn) ? 1 : 0;
    }
    loop_unlock(loop);
    return rc;
}

int
response_wait(struct request *request)
{
    const struct http_handler *handler = &request->server->handler;
    int rc = progress_of(request);
    if (rc > 0) {
        handler->wait(handler->context, request);
        rc = progress_of(request);
    }
    return rc;
}

/* --- the end --- */

void
response_finish(struct request *request)
{
    struct response *response = &request->response;
    ASSERT(response->started);
    if (!response->ended) {
        int rc = response_write(request, SPAN(""), true);
        (void)rc; /* a lost connection is closed already */
    }
    if (response->framing == FRAMING_LENGTH && response->body_bytes < response->length) {
        response->close = true;
    }
    access_log_response(request);
}

static const char *
error_reason(int status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

void
response_fail(struct request *request, int status, struct span message)
{
    struct response *response = &request->response;
    if (response->sent) {
        access_log_response(request);
        response_abort(request);
        return;
    }
    struct buf page;
    buf_init(&page, ERROR_PAGE_MAX_BYTES);
    http_error_page(status, error_reason(status), message, &page);
    size_t head_bytes = http_error_head_bytes(&page);
    bool head_only = request->head.method_id == HTTP_METHOD_HEAD;
    struct loop *loop = request->server->loop;
    loop_lock(loop);
    block_release(&loop->blocks, &response->head);
    response->status = status;
    response->body_bytes = head_only ? 0 : (int64_t)(page.len - head_bytes);
    response->started = true;
    response->sent = true;
    response->ended = true;
    response->close = true;
    if (conn_is_open(request->conn)) {
        conn_put(request->conn, buf_begin(&page), head_only ? head_bytes : page.len);
    }
    loop_unlock(loop);
    buf_fini(&page);
    access_log_response(request);
}

void
response_abort(struct request *request)
{
    struct loop *loop = request->server->loop;
    loop_lock(loop);
    conn_close(request->conn);
    loop_unlock(loop);
    request->response.started = true;
    request->response.close = true;
}
