/* SPDX-License-Identifier: MIT */
/*
 * What all HTTP connections of a worker share: the settings, the listeners, the pools, and the way
 * to the executor. One per worker, on top of one loop; everything here is guarded by the loop's
 * lock unless it says otherwise.
 */
#ifndef SAOLA_HTTP_SERVER_H
#define SAOLA_HTTP_SERVER_H

#include "base/list.h"
#include "base/macros.h"
#include "base/pool.h"
#include "http/h1_parse.h"
#include "http/h1_policy.h"
#include "log/metrics.h"
#include "net/loop.h"
#include "net/network.h"

#include <stdbool.h>
#include <stdint.h>

struct access_log;
struct conn;
struct request;

enum {
    HTTP_BODY_MEMORY_BYTES = 64 * 1024, /* a longer request body goes to a file */
    /* Memory for buffers of a worker. Beyond it every body that is not complete goes to a file, and
     * a head that is not complete is refused if it is longer than HTTP_HEAD_SPARE_BYTES. */
    HTTP_BUFFER_BUDGET_BYTES = 16 * 1024 * 1024,
    HTTP_HEAD_SPARE_BYTES = 32 * 1024,
};

/* Constant while the server runs; what it points to is the caller's. */
struct http_settings {
    struct h1_limits limits;
    struct h1_policy policy;
    struct network_list trusted; /* forwarded_allow_ips */
    struct span server_token;    /* the Server field: "saola" */
    const char *spool_directory; /* NULL: the system's */
    int64_t spool_max_bytes;     /* of a response that its reader does not keep up with */
    int64_t keepalive_ns;        /* 0: every response closes its connection */
    bool keep_trailers;          /* of chunked bodies: somebody reads them */
    unsigned max_connections;    /* worker_connections */
    unsigned accept_batch;       /* connections accepted in one go */
};

/* Where requests go: the executor, seen from the protocol. */
struct http_handler {
    void *context;
    /* The request is complete and belongs to the handler. Lock held; must not run the application.
     */
    void (*submit)(void *context, struct request *request);
    /* Called by response_wait() in the thread that runs the application, without the lock: returns
     * when something may have changed. */
    void (*wait)(void *context, struct request *request);
};

/* Who takes the connections of a server that drains. Lock held; `any` is NULL if there never is
 * anybody. */
struct http_heirs {
    void *context;
    bool (*any)(void *context);
    /* Gives the connection away with h1_move(): returns what that returned. */
    int (*pass)(void *context, struct conn *conn);
};

/* Where new connections belong. Lock held; `place` is NULL if that is where they were accepted. */
struct http_placement {
    void *context;
    /* The connection has nothing to do for the first time: gives it away with h1_move(), or not. */
    void (*place)(void *context, struct conn *conn);
};

struct http_listener {
    struct watch watch; /* watch.fd is the caller's */
    struct http_server *server;
    unsigned index;
    uint32_t id; /* the same in every process that has the socket; 0: none */
};

/* Who logs and counts requests instead of the access log and StatsD: Python's logging. */
struct http_observer {
    void *context;
    /* The server itself has answered: what is known of the head is in `request`, with `base` set.
     * Lock held, any thread; must not run Python. */
    void (*refused)(void *context, const struct request *request, int status);
};

struct http_server {
    struct loop *loop;
    struct http_settings settings;
    struct http_handler handler;
    struct http_heirs heirs;         /* none at first */
    struct http_placement placement; /* likewise */
    struct watch mailbox; /* connections of other workers come in here; fd: the caller's, or -1 */
    struct access_log *access_log; /* NULL: off. Not owned */
    struct http_observer observer; /* refused NULL: there is none */
    struct metrics *metrics;       /* in shared memory; not owned */
    struct http_listener *listeners;
    unsigned n_listeners; /* open ones: none once it drains */
    unsigned n_known;     /* listeners there have been */
    struct list conns;    /* struct conn, every open one */
    struct pool conn_pool;
    struct pool request_pool;
    unsigned n_conns;
    int pid;                /* of this process, for the access log */
    int spare_fd;           /* given up for a moment when descriptors have run out */
    bool accepting;         /* the listeners are in the loop */
    bool wanted;            /* the owner wants them there */
    int64_t drain_start_ns; /* monotonic */
    bool draining;          /* no connection outlives its request here */
};

/* `settings` is copied. Negative errno. */
int http_server_init(struct http_server *server, struct loop *loop,
                     const struct http_settings *settings, const struct http_handler *handler,
                     struct metrics *metrics) NODISCARD;
void http_server_fini(struct http_server *server); /* closes every connection */

/* In a child that the application has forked: closes the copies of the connections' descriptors,
 * and nothing else, because the reactor is shared with the parent. */
void http_server_abandon(struct http_server *server);

/* Serves `n` listening sockets, non-blocking; the descriptors stay the caller's. `ids` (NULL: none)
 * are what other workers know them by. Once, before the loop runs. */
void http_server_listen(struct http_server *server, const int *fds, const uint32_t *ids,
                        unsigned n);

/* Puts the listeners into the loop or takes them out. */
void http_server_accept(struct http_server *server, bool on);

/* Accepts what waits in the kernel's queues, for the last time, and forgets the listeners: the
 * caller closes them. From now on a connection that has been answered goes to an heir; without
 * heirs, responses close their connections. */
void http_server_drain(struct http_server *server);

/* It drains, and nobody takes its connections. */
bool http_server_ends(const struct http_server *server);

/* When draining: gives those connections to heirs that wait for a request or have begun one. True:
 * some are left for want of room in the mailboxes; to be called again soon. */
bool http_server_bequeath(struct http_server *server);

/* Makes room for a connection that comes from elsewhere, and counts it. */
void http_server_conn_opening(struct http_server *server);

/* Whether a server that drains has a connection to wait for at `now_ns` (monotonic): one with a
 * request or its response in progress; for a second, one that is new or has begun a request; and
 * for a moment, an idle one, which may be about to send the next request because it was told
 * keep-alive. */
bool http_server_busy(const struct http_server *server, int64_t now_ns);

/* Accepts again if there is room by now: a connection waits for its peer, so it could make room for
 * another; or, once a turn, if the listeners could not be watched before. */
void http_server_resume(struct http_server *server);

/* For connections: one has gone. */
void http_server_conn_closed(struct http_server *server);

#endif
