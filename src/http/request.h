/* SPDX-License-Identifier: MIT */
/*
 * A request in progress: what the peer sent, complete and valid, and the response that goes back.
 * The engine creates one per request head and hands it to the executor when the body is complete
 * too; from then on it belongs to the executor, until request_done() gives it back. It is valid
 * even if the connection is lost meanwhile.
 *
 * While the executor owns it, what is read below (head, texts, body) does not change and needs no
 * lock.
 */
#ifndef SAOLA_HTTP_REQUEST_H
#define SAOLA_HTTP_REQUEST_H

#include "base/buf.h"
#include "base/list.h"
#include "base/macros.h"
#include "base/span.h"
#include "base/spool.h"
#include "http/h1_parse.h"
#include "http/response.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct conn;
struct http_server;

enum { REQUEST_INLINE_HEADERS = 32, REQUEST_TRAILERS_MAX_BYTES = 64 * 1024 };

struct request {
    struct list node; /* the executor's queue */
    struct http_server *server;
    struct conn *conn; /* pinned: the memory stays, whether or not it is open */

    struct h1_head head; /* offsets count from `base` */
    struct h1_header inline_headers[REQUEST_INLINE_HEADERS];
    const char *base; /* first byte of the head, in the connection's memory */
    bool https;       /* wsgi.url_scheme, as the trusted proxy says */

    /* The body, complete: `body_bytes` of it in memory at `body`, or in the spool. */
    const char *body;
    int64_t body_bytes;
    int64_t body_read; /* consumed through request_body_read() */
    struct spool spool;
    struct buf trailers; /* "Name: value\r\n" of each, if the settings say that they are kept */
    uint32_t number;     /* of the requests of its connection, from 1 */

    int64_t start_ns; /* monotonic: when it was complete, then when the application was called */
    int64_t queue_ns; /* between the two, if the access log is on */
    struct response response;
};

/* For the protocol, loop lock held: the memory comes from the server's pool. request_free() accepts
 * NULL. */
struct request *request_new(struct http_server *server, struct conn *conn) NODISCARD;
void request_free(struct request *request);

/* Copies up to `n` bytes of the body that were not read yet; 0 at its end. Negative errno if the
 * spool cannot be read. No lock needed. */
ssize_t request_body_read(struct request *request, void *out, size_t n) NODISCARD;

static inline int64_t
request_body_left(const struct request *request)
{
    return request->body_bytes - request->body_read;
}

/* The next bytes of the body in place, if it is in memory (an empty span else). Nothing is
 * consumed. */
struct span request_body_peek(const struct request *request);

/* The last field with that name, compared without case; an empty span with p == NULL if none. */
struct span request_header(const struct request *request, struct span name);

/* The peer's IP address (empty for a unix socket) and port. */
struct span request_peer(const struct request *request);
uint16_t request_peer_port(const struct request *request);

/* Gives the request back to the engine, which goes on with the connection: the next request,
 * waiting, or closing. Its response must have been finished, failed or aborted. Takes the loop's
 * lock; the caller may not touch the request afterwards. */
void request_done(struct request *request);

/* Takes the connection away from the engine, which sends nothing more, for an application that goes
 * on with another protocol: a blocking descriptor that the caller owns, or negative errno. The
 * response is then to be aborted. What the peer has sent beyond the request is lost. Takes the
 * loop's lock. */
int request_take_socket(struct request *request) NODISCARD;

/* A duplicate of the connection's descriptor, to ask questions only. Likewise. */
int request_dup_socket(const struct request *request) NODISCARD;

/* Index of the listener it came through, in the order of the worker's listeners. */
unsigned request_listener(const struct request *request);

#endif
