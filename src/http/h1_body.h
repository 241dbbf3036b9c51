/* SPDX-License-Identifier: MIT */
/*
 * The body of a request that did not arrive together with its head: decodes its framing (RFC 9112
 * section 6) and keeps the bytes, in memory while they are few and there is enough for all, beyond
 * that in a temporary file. Belongs to a connection; the loop's lock guards it.
 */
#ifndef SAOLA_HTTP_H1_BODY_H
#define SAOLA_HTTP_H1_BODY_H

#include "base/macros.h"
#include "base/span.h"
#include "http/errors.h"
#include "http/h1_chunked.h"
#include "http/h1_parse.h"
#include "net/blocks.h"

#include <stddef.h>
#include <stdint.h>

struct request;

struct h1_body {
    struct block memory; /* what is kept while there is no file */
    struct h1_chunked chunked;
    int64_t left; /* bytes to come by Content-Length; -1: chunked */
};

/* The request's head says how the body is framed. `body` has been zeroed or released. */
void h1_body_begin(struct h1_body *body, struct request *request);

/* Takes bytes of the connection: *ret_used of them belong to the body, counted and kept in
 * `request`. H1_DONE: the body is complete. H1_ERROR: *ret_error with *ret_detail says why; a
 * temporary file that cannot be written has been logged. */
enum h1_result h1_body_feed(struct h1_body *body, struct request *request, struct span data,
                            size_t *ret_used, enum http_error *ret_error, struct span *ret_detail)
    NODISCARD;

#endif
