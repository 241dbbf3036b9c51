/* SPDX-License-Identifier: MIT */
/*
 * A server that takes messages: syslog, StatsD. Sending never blocks and never fails for the
 * caller; what cannot be sent at once is dropped, or for a stream kept while it fits, and counted.
 *
 * Datagrams are sent to the address as it is at that moment, so a server may come and go. A stream
 * is connected again, at most once a second; a forked child makes a connection of its own, because
 * two processes on one would mix their messages. In a stream, a NUL ends a message.
 *
 * remote_send() may be called from any thread. Opening and closing belong to the main thread.
 */
#ifndef SAOLA_LOG_REMOTE_H
#define SAOLA_LOG_REMOTE_H

#include "base/buf.h"
#include "base/macros.h"
#include "base/span.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

enum {
    REMOTE_BACKLOG_BYTES = 64 * 1024, /* of a stream that does not keep up */
    REMOTE_BATCH_MAX = 4,             /* messages of remote_send_batch() */
};

struct remote {
    _Atomic int type; /* SOCK_DGRAM, SOCK_STREAM */
    bool either;      /* a unix socket of any type: datagrams are tried first */
    struct sockaddr_storage address;
    socklen_t address_bytes;
    int datagram_fd;       /* owned; -1: none is needed */
    _Atomic uint64_t lost; /* messages dropped, for the owner to report */

    /* Of a stream, guarded by the lock. */
    pthread_mutex_t lock;
    pid_t pid;          /* whose connection it is */
    int stream_fd;      /* owned; -1: not connected */
    int64_t retry_ns;   /* monotonic: not connected again before that */
    struct buf pending; /* messages, each ended by a NUL; the first may have gone in part */
};

/* `type` is SOCK_DGRAM or SOCK_STREAM. Negative errno, with *ret_error a text (to be freed), if the
 * host has no address. A stream is not connected yet. */
int remote_open_host(struct remote *remote, int type, const char *host, unsigned port,
                     char **ret_error) NODISCARD;

/* `type` 0 takes what the server is. -ENAMETOOLONG. */
int remote_open_unix(struct remote *remote, int type, const char *path, char **ret_error) NODISCARD;
void remote_close(struct remote *remote);

/* Connects a stream, waiting `patience_ms` at most, and sends what waits: at the beginning of a
 * process, so that its first messages are not late. */
void remote_connect(struct remote *remote, int patience_ms);

/* For a stream the message has its NUL. False: it was dropped, and counted. */
bool remote_send(struct remote *remote, struct span message);

/* Several datagrams at once. */
void remote_send_batch(struct remote *remote, const struct span *messages, size_t n);

#endif
