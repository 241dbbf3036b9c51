/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1 on a connection (RFC 9112): reads request heads and bodies, hands complete requests to the
 * server's handler one at a time and in order, and decides what the connection does after each.
 *
 *   WAITING --bytes--> HEAD --complete--> [BODY] --complete--> RUNNING --done--> [SENDING] --+
 *      ^                 |                  |                                                |
 *      |                 +----- error ------+--> SENDING --> LINGERING --> closed            |
 *      +-------------------------------------------------------------------------------------+
 *
 * WAITING: no byte of a request. RUNNING: the application has the request. SENDING: the response
 * waits for its reader. LINGERING: everything is said; what still comes is read and thrown away, or
 * the peer could lose the last response to a reset. Every function needs the loop's lock.
 */
#ifndef SAOLA_HTTP_H1_H
#define SAOLA_HTTP_H1_H

#include "http/h1_body.h"
#include "http/h1_parse.h"
#include "http/server.h"
#include "net/conn.h"

#include <stdbool.h>
#include <stdint.h>

struct request;

enum h1_state {
    H1_WAITING,
    H1_HEAD,
    H1_BODY,
    H1_RUNNING,
    H1_SENDING,
    H1_LINGERING,
    H1_CLOSED,
    H1_STATES,
};

struct h1_conn {
    struct conn conn; /* first: the protocol's functions get its address */
    struct http_server *server;
    struct request *request; /* being read or in progress; NULL while waiting */
    struct h1_parser parser;
    struct h1_body body;
    uint32_t discarded; /* bytes thrown away while lingering */
    uint32_t requests;  /* begun */
    uint16_t listener;  /* index */
    uint8_t state;      /* enum h1_state */
    bool closing;       /* SENDING: the connection ends when everything is sent */
    bool linger;        /* the peer may still be sending */
    bool served;        /* a request has been answered */
    bool last;          /* the next response closes the connection */
    bool placed;        /* it is where it is to stay */
    bool trust_known;
    bool trusted; /* the peer is in forwarded_allow_ips */
};

/* Takes over an accepted socket and reads what is there already. */
void h1_open(struct http_server *server, unsigned listener, int fd, const struct sockaddr *peer);

/* --- for connections that come from another worker or go there (http/h1_transfer.h) --- */

/* A connection in state WAITING that nothing has been read from, with no timeout: the caller has
 * counted it with http_server_conn_opening(). `peer` as conn_init(). */
struct h1_conn *h1_new(struct http_server *server, unsigned listener, int fd,
                       const struct sockaddr *peer) NODISCARD;

/* Goes on with a connection in state WAITING, or HEAD with bytes in `in`; its timeout runs. */
void h1_resume(struct h1_conn *h1);

/* Goes on with a complete request: `in` holds its head of `head_bytes`, then the body, unless that
 * is in the spool (-1: it is not). It was complete at `complete_ns`. */
void h1_resume_request(struct h1_conn *h1, size_t head_bytes, int64_t body_bytes, int spool_fd,
                       int64_t complete_ns);

/* In state RUNNING, with a request that has not begun and that nobody else refers to; or in any
 * other: closes the descriptor and frees the request. */
void h1_let_go(struct h1_conn *h1);

/* It waits for a request, or has begun to read one. */
bool h1_may_leave(const struct conn *conn);

/* Where the part of the input ends that belongs to the request. */
size_t h1_input_bytes(const struct request *request);

/* The response to the request has to end its connection, whatever the client wants. */
bool h1_must_close(const struct request *request);

/* --- */

/* Until when a server that drains waits for this connection: see http_server_busy(). */
int64_t h1_busy_until(struct conn *conn);

/* The application is done with the request: see request_done(). */
void h1_request_done(struct request *request);

/* More requests have been read already, and the peer keeps up: `n` bytes that end a response may
 * wait for the response to the next one. */
bool h1_may_join(const struct request *request, size_t n);

/* After output was offered: watches over how long the peer takes. */
void h1_output_changed(struct conn *conn);

#endif
