/* SPDX-License-Identifier: MIT */
#include "http/h1_body.h"

#include "http/request.h"
#include "http/server.h"
#include "log/limit.h"
#include "net/conn.h"

#include <string.h>

void
h1_body_begin(struct h1_body *body, struct request *request)
{
    const struct h1_head *head = &request->head;
    body->left = head->chunked ? -1 : head->content_length;
    if (head->chunked) {
        bool keep = request->server->settings.keep_trailers;
        h1_chunked_init(&body->chunked, keep ? &request->trailers : NULL);
    }
}

/* Moves what was kept in memory to the file, which begins with it. */
static int
move_to_file(struct h1_body *body, struct request *request, struct blocks *blocks)
{
    int rc = 0;
    if (body->memory.len > 0) {
        rc = spool_append(&request->spool, request->server->settings.spool_directory,
                          block_begin(&body->memory), body->memory.len);
        block_release(blocks, &body->memory);
    }
    return rc;
}

static int
keep(struct h1_body *body, struct request *request, struct span data)
{
    struct blocks *blocks = &request->conn->loop->blocks;
    request->body_bytes += (int64_t)data.n;
    if (request->spool.fd < 0) {
        if (body->memory.len + data.n <= HTTP_BODY_MEMORY_BYTES &&
            blocks->used_bytes + data.n <= HTTP_BUFFER_BUDGET_BYTES) {
            block_append(blocks, &body->memory, data.p, data.n);
            return 0;
        }
        int rc = move_to_file(body, request, blocks);
        if (rc < 0) {
            return rc;
        }
    }
    return spool_append(&request->spool, request->server->settings.spool_directory, data.p, data.n);
}

static enum h1_result
keeping_failed(int rc, enum http_error *ret_error, struct span *ret_detail)
{
    static struct log_limit limit;
    log_limited(&limit, LOG_LEVEL_ERROR, "Cannot keep a request body in a temporary file: %s",
                strerror(-rc));
    *ret_error = HTTP_ERR_INTERNAL;
    *ret_detail = SPAN("");
    return H1_ERROR;
}

/* One run of content, or of chunk framing. */
static enum h1_result
next_run(struct h1_body *body, const struct request *request, struct span data, size_t *ret_used,
         struct span *ret_content)
{
    if (body->left < 0) {
        return h1_chunked_feed(&body->chunked, &request->server->settings.limits, data.p, data.n,
                               ret_used, ret_content);
    }
    *ret_used = MIN_OF(data.n, (size_t)body->left);
    *ret_content = span_of(data.p, *ret_used);
    body->left -= (int64_t)*ret_used;
    return body->left == 0 ? H1_DONE : H1_MORE;
}

enum h1_result
h1_body_feed(struct h1_body *body, struct request *request, struct span data, size_t *ret_used,
             enum http_error *ret_error, struct span *ret_detail)
{
    enum h1_result result = H1_MORE;
    *ret_used = 0;
    while (result == H1_MORE && *ret_used < data.n) {
        size_t used;
        struct span content;
        struct span rest = span_of(data.p + *ret_used, data.n - *ret_used);
        result = next_run(body, request, rest, &used, &content);
        *ret_used += used;
        int rc = content.n > 0 ? keep(body, request, content) : 0;
        if (rc < 0) {
            return keeping_failed(rc, ret_error, ret_detail);
        }
    }
    if (result == H1_ERROR) {
        *ret_error = body->chunked.error;
        *ret_detail = h1_chunked_detail(&body->chunked);
    }
    return result;
}
