/* SPDX-License-Identifier: MIT */
/*
 * Moving an HTTP/1 connection from one worker to another, through the mailbox of that one: the
 * descriptor with what was read from it, who the peer is and how long it has taken. The peer
 * notices nothing.
 *
 * Every function needs the loop's lock; whichever thread drives the loop may call them.
 */
#ifndef SAOLA_HTTP_H1_TRANSFER_H
#define SAOLA_HTTP_H1_TRANSFER_H

#include "base/macros.h"
#include "http/server.h"

#include <stdbool.h>

struct conn;
struct request;

/* Gives away a connection that waits for a request or has begun to read one (h1_may_leave()).
 * Afterwards it is closed here. -EAGAIN: not now, because the mailbox is full or output waits for
 * the peer; any other error: it cannot be moved at all. */
int h1_move(struct conn *conn, int mailbox_fd) NODISCARD;

/* Likewise a connection with its complete request, which the application has not been given and
 * which the caller has taken out of the executor's queue. On success the request is gone; on
 * failure it still is the caller's. */
int h1_move_request(struct request *request, int mailbox_fd) NODISCARD;

/* Makes a server take over what comes into its mailbox, whose reading end, `fd`, stays the
 * caller's. Negative errno. */
int h1_adopt_from(struct http_server *server, int fd) NODISCARD;

/* Takes over what waits in the mailbox, a few connections at most. False: nothing did. */
bool h1_adopt(struct http_server *server);

#endif
