/* SPDX-License-Identifier: MIT */
/*
 * What one worker writes to another about a connection that it gives away: a fixed part, then the
 * bytes of the peer that were read and not yet consumed. Both ends are the same program on the same
 * machine, so numbers are as they are in memory, and times are those of the monotonic clock.
 *
 * The writer may have gone mad before it died: whatever would do harm is refused.
 */
#ifndef SAOLA_HTTP_H1_MESSAGE_H
#define SAOLA_HTTP_H1_MESSAGE_H

#include "base/macros.h"
#include "base/span.h"
#include "net/conn.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { H1_MESSAGE_VERSION = 0x53410002 };

enum h1_message_kind {
    H1_MESSAGE_CONNECTION, /* no request, or part of the head of one: `head` */
    H1_MESSAGE_REQUEST,    /* a complete request that has not begun */
};

struct h1_message {
    uint32_t version;
    uint32_t listener;   /* http_listener.id; 0: unknown */
    uint32_t head_bytes; /* what follows: the head, */
    uint32_t body_bytes; /* ... the body without its framing, */
    uint32_t rest_bytes; /* ... and what was read beyond it */
    uint32_t requests;   /* that the connection has had, without the one that is moved */
    uint16_t peer_port;
    uint8_t peer_len;
    uint8_t kind;          /* enum h1_message_kind */
    uint8_t timeout_kind;  /* CONNECTION: what runs, HEAD or KEEPALIVE, */
    bool served;           /* a request has been answered */
    bool last;             /* the next response is to close the connection */
    bool spooled;          /* REQUEST: the body is the file that comes with it */
    int64_t since_ns;      /* CONNECTION: ... since when; REQUEST: when it was complete */
    int64_t spooled_bytes; /* of that file */
    char peer[CONN_PEER_TEXT_MAX];
};

/* Copies the fixed part of a message of `n` bytes that came with `n_fds` descriptors; the bytes of
 * the peer follow it in `bytes`. -EBADMSG if it cannot be what a worker has written. */
int h1_message_decode(const char *bytes, size_t n, unsigned n_fds, struct h1_message *ret_message)
    NODISCARD;

/* Bytes of the peer in the message. */
static inline size_t
h1_message_payload(const struct h1_message *message)
{
    return (size_t)message->head_bytes + message->body_bytes + message->rest_bytes;
}

#endif
