/* SPDX-License-Identifier: MIT */
/*
 * Reading requests of HTTP/1 (RFC 9112 sections 2 to 7): from the bytes of a connection to a
 * request that is complete and valid, which goes to the server's handler. Lock held, whichever
 * thread drives the loop. Each function may close the connection.
 */
#ifndef SAOLA_HTTP_H1_READ_H
#define SAOLA_HTTP_H1_READ_H

struct h1_conn;

/* There is something to read, in state WAITING or HEAD; BODY; LINGERING. */
void h1_read_head(struct h1_conn *h1);
void h1_read_body(struct h1_conn *h1);
void h1_discard_input(struct h1_conn *h1);

/* A request begins, or goes on, with what was read already. */
void h1_read_on(struct h1_conn *h1);

#endif
