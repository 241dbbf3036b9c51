/* SPDX-License-Identifier: MIT */
/*
 * Between the files of the state machine of http/h1.h: changes of state that both reading and
 * answering lead to. Lock held.
 */
#ifndef SAOLA_HTTP_H1_STATE_H
#define SAOLA_HTTP_H1_STATE_H

#include "base/panic.h"
#include "base/span.h"
#include "http/errors.h"
#include "http/h1.h"

static inline struct h1_conn *
h1_of(struct conn *conn)
{
    return CONTAINER_OF(conn, struct h1_conn, conn);
}

static inline void
h1_set_state(struct h1_conn *h1, enum h1_state state)
{
    ASSERT(h1->state != H1_CLOSED);
    h1->state = (uint8_t)state;
}

/* The peer's turn: to send a request, the rest of one, or nothing any more. May close. */
void h1_wait_for_input(struct h1_conn *h1, enum h1_state state, enum timeout_kind kind);

/* Answers a bad request with an error page, and ends the connection. */
void h1_refuse(struct h1_conn *h1, enum http_error error, struct span detail);

#endif
