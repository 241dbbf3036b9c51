/* SPDX-License-Identifier: MIT */
/*
 * The head of a response: what of the application's status and fields is sent, how the body is
 * framed (RFC 9112 section 6.3), and the bytes. Used by http/response.c only; no locks of its own.
 */
#ifndef SAOLA_HTTP_RESPONSE_HEAD_H
#define SAOLA_HTTP_RESPONSE_HEAD_H

#include "base/macros.h"
#include "http/response.h"
#include "net/blocks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The head as it will be: what was decided, and how much is left to copy. */
struct head_plan {
    int status;
    int64_t length; /* Content-Length of the application; -1: none */
    bool upgrade;   /* Connection: upgrade */
    size_t bytes;   /* the rendered head needs at most */
};

/* Checks what the application gave. Returns as response_start(). */
int head_plan_make(struct head_plan *plan, const struct request *request,
                   const struct response_head *head, size_t *ret_field) NODISCARD;

/* Sets framing, length and close of the request's response. Loop lock held. */
void head_plan_decide(const struct head_plan *plan, struct request *request);

/* Appends the head to `out`: a final one with the server's own fields, or an informational one.
 * Loop lock held. */
void head_plan_render(const struct head_plan *plan, const struct request *request,
                      const struct response_head *head, struct block *out);
void head_plan_render_informational(const struct head_plan *plan, const struct request *request,
                                    const struct response_head *head, struct block *out);

/* HTTP/1.1 or later: knows chunked bodies and informational responses. */
bool request_is_http_1_1(const struct request *request);

#endif
