/* SPDX-License-Identifier: MIT */
/*
 * A connection: a socket, what was read and not yet consumed, what was written and not yet taken by
 * the peer. It moves bytes through a transport (plain socket now, TLS later) and leaves their
 * meaning to a protocol (HTTP/1 now); neither knows the other.
 *
 * Owned by the loop; every function needs the loop's lock. A connection is closed with
 * conn_close(), at any time, by anybody who holds the lock; its memory lives until the end of the
 * turn, and longer while `pins` counts a request that still refers to it.
 */
#ifndef SAOLA_NET_CONN_H
#define SAOLA_NET_CONN_H

#include "base/list.h"
#include "base/macros.h"
#include "base/span.h"
#include "base/spool.h"
#include "net/blocks.h"
#include "net/loop.h"
#include "net/reactor.h"
#include "net/timeout.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct conn;

enum {
    CONN_OUT_MEMORY_MAX = 128 * 1024, /* bytes queued in memory before they go to a file */
    CONN_IOV_MAX = 4,
    CONN_PEER_TEXT_MAX = 46, /* INET6_ADDRSTRLEN */
};

/* How bytes reach the peer. All return bytes moved, 0 at the end of input, or negative errno. */
struct transport {
    ssize_t (*read)(struct conn *conn, void *out, size_t n);
    ssize_t (*writev)(struct conn *conn, struct iovec *iov, int n,
                      bool more); /* more follows now */
    ssize_t (*sendfile)(struct conn *conn, int fd, int64_t offset, size_t n);
    void (*shutdown)(struct conn *conn); /* no more output */
};

extern const struct transport transport_plain;

/* What the bytes mean. Called with the lock held, by whichever thread drives the loop. */
struct protocol {
    void (*readable)(struct conn *conn); /* bytes, the end of input or an error wait to be read */
    void (*drained)(struct conn *conn);  /* nothing is queued for output any more */
    void (*progress)(struct conn *conn); /* some of the queued output was taken */
    void (*timed_out)(struct conn *conn, enum timeout_kind kind);
    void (*closed)(struct conn *conn);  /* just closed, whoever did it */
    void (*release)(struct conn *conn); /* frees the memory that embeds the connection */
};

/* Part of a file that follows whatever else is queued. */
struct conn_file {
    int fd; /* owned (a duplicate); -1: none */
    int64_t offset;
    int64_t left;
};

struct conn {
    struct watch watch;   /* watch.fd is the socket, owned; -1 when closed */
    bool reading;         /* input is wanted */
    uint8_t timeout_kind; /* meaning of `timeout` while it is armed */
    uint8_t peer_text_len;
    uint16_t peer_port;
    int pins; /* requests that refer to this memory */
    struct timeout timeout;
    struct loop *loop;
    const struct transport *transport;
    const struct protocol *protocol;
    struct block in;             /* read and not consumed */
    struct block out;            /* written and not taken by the peer, oldest first, ... */
    struct spool *spool;         /* ... then this (owned, NULL: none), ... */
    struct conn_file file;       /* ... then this ... */
    struct span file_tail;       /* ... then this constant text */
    const char *spool_directory; /* not owned; NULL: the system's */
    int64_t spool_max;           /* bytes that may wait for the peer before the writer has to */
    struct list node;            /* the server's list while open, loop->closed once closed */
    char peer_text[CONN_PEER_TEXT_MAX]; /* IP address of the peer; empty for a unix socket */
};

/* Takes over `fd`, which is non-blocking; `peer` NULL: not known yet. The caller sets protocol,
 * transport and spool_* afterwards, and puts `node` into a list of its own. The reactor learns of
 * it when conn_set_reading() asks. */
void conn_init(struct conn *conn, struct loop *loop, int fd, const struct sockaddr *peer);

/* The peer as somebody else has found it: an IP address, cut to what fits, and port. */
void conn_set_peer(struct conn *conn, struct span text, uint16_t port);

void conn_close(struct conn *conn);

/* Closes a connection that cannot go on, for the negative errno `rc`; logs it unless it is the
 * peer's or the network's doing. */
void conn_fail(struct conn *conn, int rc);

/* For the loop: a timeout of the connection that embeds it has expired; the memory of a closed
 * connection is not needed by the loop any more. */
void conn_timed_out(struct timeout *timeout, enum timeout_kind kind);
void conn_release(struct conn *conn);

/* Keeps the memory of a connection, open or not, until conn_unpin(). */
void conn_pin(struct conn *conn);
void conn_unpin(struct conn *conn);

static inline bool
conn_is_open(const struct conn *conn)
{
    return conn->watch.fd >= 0;
}

/* --- input --- */

/* One read from the socket, appended to `in`. Bytes, 0 at the end of input, negative errno. */
ssize_t conn_read(struct conn *conn) NODISCARD;

/* One read that bypasses `in`: into the loop's scratch memory. */
ssize_t conn_read_scratch(struct conn *conn) NODISCARD;

/* Whether input is wanted: tells the reactor only when it matters. */
void conn_set_reading(struct conn *conn, bool on);

/* --- output --- */

/* Queues in memory without sending: for small texts that precede a conn_writev() or conn_flush().
 * Not once output has gone to a file, which is sent after what is in memory. */
void conn_put(struct conn *conn, const void *bytes, size_t n);

/* Sends what is queued and the first `n` of `iov` (at most CONN_IOV_MAX) in one system call; queues
 * what the peer does not take: in memory, beyond that in a file. 0, or negative errno: the
 * connection is of no use any more and should be closed. `iov` is modified. */
int conn_writev(struct conn *conn, struct iovec *iov, int n) NODISCARD;

/* Queues `length` bytes of `fd` (duplicated here) from `offset`, then `tail` (a literal), and sends
 * what it can. Nothing may be written after it until it is drained. Returns as conn_writev(). */
int conn_send_file(struct conn *conn, int fd, int64_t offset, int64_t length, struct span tail)
    NODISCARD;

/* Sends what is queued. Returns as conn_writev(). */
int conn_flush(struct conn *conn) NODISCARD;

/* Bytes queued. */
int64_t conn_pending(const struct conn *conn);

/* Whether output waits for the peer, having been offered. */
static inline bool
conn_is_behind(const struct conn *conn)
{
    return (conn->watch.interest & REACTOR_WRITE) != 0;
}

/* Whether a writer should wait before it writes more. */
static inline bool
conn_is_full(const struct conn *conn)
{
    return conn->spool && spool_pending(conn->spool) >= conn->spool_max;
}

/* --- time --- */

void conn_timeout_start(struct conn *conn, enum timeout_kind kind);
void conn_timeout_stop(struct conn *conn);

/* As conn_timeout_start() would have done at `since_ns`, at most now. */
void conn_timeout_start_since(struct conn *conn, enum timeout_kind kind, int64_t since_ns);

/* When the timeout that is armed was started; monotonic, in nanoseconds. */
int64_t conn_timeout_since(const struct conn *conn);

static inline bool
conn_timeout_runs(const struct conn *conn, enum timeout_kind kind)
{
    return list_linked(&conn->timeout.node) && conn->timeout_kind == kind;
}

#endif
