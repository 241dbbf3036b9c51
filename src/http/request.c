/* SPDX-License-Identifier: MIT */
#include "http/request.h"

#include "base/fd.h"
#include "base/panic.h"
#include "http/h1.h"
#include "http/server.h"
#include "net/conn.h"

#include <errno.h>
#include <string.h>

struct request *
request_new(struct http_server *server, struct conn *conn)
{
    struct request *request = pool_get(&server->request_pool);
    list_init(&request->node);
    request->server = server;
    request->conn = conn;
    h1_head_init(&request->head, request->inline_headers, REQUEST_INLINE_HEADERS);
    request->base = NULL;
    request->https = false;
    request->body = NULL;
    request->body_bytes = 0;
    request->body_read = 0;
    spool_init(&request->spool);
    buf_init(&request->trailers, REQUEST_TRAILERS_MAX_BYTES);
    request->number = 0;
    request->start_ns = 0;
    request->queue_ns = 0;
    memset(&request->response, 0, sizeof(request->response));
    return request;
}

void
request_free(struct request *request)
{
    if (request == NULL) {
        return;
    }
    block_release(&request->server->loop->blocks, &request->response.head);
    spool_fini(&request->spool);
    buf_fini(&request->trailers);
    h1_head_fini(&request->head);
    pool_put(&request->server->request_pool, request);
}

struct span
request_body_peek(const struct request *request)
{
    if (request->body == NULL) {
        return (struct span){NULL, 0};
    }
    return span_of(request->body + request->body_read, (size_t)request_body_left(request));
}

ssize_t
request_body_read(struct request *request, void *out, size_t n)
{
    n = (size_t)MIN_OF((int64_t)n, request_body_left(request));
    if (n == 0) {
        return 0;
    }
    ssize_t got = (ssize_t)n;
    if (request->body) {
        memcpy(out, request->body + request->body_read, n);
    } else {
        got = spool_pread(&request->spool, out, n, request->body_read);
    }
    if (got > 0) {
        request->body_read += got;
    }
    return got;
}

struct span
request_header(const struct request *request, struct span name)
{
    for (uint32_t i = request->head.count; i > 0; i--) {
        const struct h1_header *header = &request->head.items[i - 1];
        if (span_eq_nocase(h1_header_name(request->base, header), name)) {
            return h1_header_value(request->base, header);
        }
    }
    return (struct span){NULL, 0};
}

struct span
request_peer(const struct request *request)
{
    return span_of(request->conn->peer_text, request->conn->peer_text_len);
}

uint16_t
request_peer_port(const struct request *request)
{
    return request->conn->peer_port;
}

unsigned
request_listener(const struct request *request)
{
    return CONTAINER_OF(request->conn, struct h1_conn, conn)->listener;
}

int
request_dup_socket(const struct request *request)
{
    struct loop *loop = request->server->loop;
    loop_lock(loop);
    int fd = conn_is_open(request->conn) ? fd_dup(request->conn->watch.fd) : -1;
    int rc = fd < 0 && conn_is_open(request->conn) ? -errno : -ENOTCONN;
    loop_unlock(loop);
    return fd >= 0 ? fd : rc;
}

int
request_take_socket(struct request *request)
{
    struct loop *loop = request->server->loop;
    loop_lock(loop);
    /* The end of the response before this one may have been kept back, to be joined with ours. */
    if (conn_pending(request->conn) > 0) {
        int sent = conn_flush(request->conn);
        (void)sent; /* the caller will notice */
    }
    loop_unlock(loop);
    int fd = request_dup_socket(request);
    if (fd < 0) {
        return fd;
    }
    loop_lock(loop);
    conn_close(request->conn);
    loop_unlock(loop);
    int rc = fd_set_nonblocking(fd, false);
    if (rc < 0) {
        fd_close(&fd);
        return rc;
    }
    return fd;
}

void
request_done(struct request *request)
{
    struct loop *loop = request->server->loop;
    loop_lock(loop);
    h1_request_done(request);
    loop_unlock(loop);
}
