/* SPDX-License-Identifier: MIT */
#include "http/server.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/panic.h"
#include "http/h1.h"
#include "http/request.h"
#include "log/limit.h"
#include "log/log.h"
#include "net/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DRAIN_ACCEPT_MAX = 4096, POOL_KEEP = 128 };

static void listener_ready(struct watch *watch, unsigned events);

int
http_server_init(struct http_server *server, struct loop *loop,
                 const struct http_settings *settings, const struct http_handler *handler,
                 struct metrics *metrics)
{
    *server = (struct http_server){
        .loop = loop,
        .settings = *settings,
        .handler = *handler,
        .metrics = metrics,
    };
    server->pid = getpid();
    server->mailbox = (struct watch){.fd = -1};
    list_init(&server->conns);
    pool_init(&server->conn_pool, sizeof(struct h1_conn), POOL_KEEP);
    pool_init(&server->request_pool, sizeof(struct request), POOL_KEEP);
    if (settings->keepalive_ns > 0) {
        loop->timeouts[TIMEOUT_KEEPALIVE].duration_ns = settings->keepalive_ns;
    }
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return server->spare_fd < 0 ? -errno : 0;
}

void
http_server_fini(struct http_server *server)
{
    http_server_accept(server, false);
    int rc = reactor_set(&server->loop->reactor, &server->mailbox, 0);
    (void)rc; /* removing does not fail */
    struct list *node;
    while ((node = list_first(&server->conns)) != NULL) {
        conn_close(LIST_ENTRY(node, struct conn, node));
    }
    loop_turn_end(server->loop);
    pool_fini(&server->conn_pool);
    pool_fini(&server->request_pool);
    free(server->listeners);
    server->listeners = NULL;
    fd_close(&server->spare_fd);
}

void
http_server_abandon(struct http_server *server)
{
    for (struct list *node = server->conns.next; node != &server->conns; node = node->next) {
        fd_close(&LIST_ENTRY(node, struct conn, node)->watch.fd);
    }
}

void
http_server_listen(struct http_server *server, const int *fds, const uint32_t *ids, unsigned n)
{
    ASSERT(server->listeners == NULL);
    server->listeners = mem_array(n, sizeof(*server->listeners));
    server->n_listeners = n;
    server->n_known = n;
    for (unsigned i = 0; i < n; i++) {
        server->listeners[i] = (struct http_listener){
            .watch = {.fd = fds[i], .exclusive = true, .ready = listener_ready},
            .server = server,
            .index = i,
            .id = ids ? ids[i] : 0,
        };
    }
}

/* Of `best` (NULL: none), armed at *best_since, and the oldest of a queue: the one armed first. */
static struct timeout *
older_of(struct loop *loop, struct timeout *best, int64_t *best_since, enum timeout_kind kind)
{
    struct timeout *oldest = timeout_oldest(&loop->timeouts[kind]);
    if (oldest == NULL) {
        return best;
    }
    int64_t since = timeout_since(&loop->timeouts[kind], oldest);
    if (best && *best_since <= since) {
        return best;
    }
    *best_since = since;
    return oldest;
}

/* The connection that has gone longest without completing a request; NULL if all are being served.
 */
static struct conn *
longest_waiting(struct http_server *server)
{
    struct loop *loop = server->loop;
    int64_t since = 0;
    struct timeout *oldest = timeout_oldest(&loop->timeouts[TIMEOUT_LINGER]);
    if (oldest == NULL) {
        oldest = older_of(loop, oldest, &since, TIMEOUT_HEAD);
        oldest = older_of(loop, oldest, &since, TIMEOUT_KEEPALIVE);
        oldest = older_of(loop, oldest, &since, TIMEOUT_BODY);
    }
    return oldest ? CONTAINER_OF(oldest, struct conn, timeout) : NULL;
}

static bool
is_full(const struct http_server *server)
{
    return server->n_conns >= server->settings.max_connections;
}

/* Puts all listeners into the reactor, or takes all out. */
static int
watch_listeners(struct http_server *server, bool on)
{
    for (unsigned i = 0; i < server->n_listeners; i++) {
        struct watch *watch = &server->listeners[i].watch;
        int rc = reactor_set(&server->loop->reactor, watch, on ? REACTOR_READ : 0);
        if (UNLIKELY(rc < 0 && on)) {
            return rc;
        }
    }
    return 0;
}

/* Makes the reactor agree with what is wanted and what there is room for. */
static void
update_accepting(struct http_server *server)
{
    bool on = server->wanted && (!is_full(server) || longest_waiting(server) != NULL);
    if (on == server->accepting) {
        return;
    }
    server->accepting = on;
    int rc = watch_listeners(server, on);
    if (UNLIKELY(rc < 0)) {
        /* Out of memory or of watches: the next turn of the loop tries again. */
        static struct log_limit limit;
        log_limited(&limit, LOG_LEVEL_ERROR, "Cannot watch the listening sockets: %s",
                    strerror(-rc));
        server->accepting = false;
        rc = watch_listeners(server, false);
        (void)rc; /* removing does not fail */
    }
}

void
http_server_accept(struct http_server *server, bool on)
{
    server->wanted = on;
    update_accepting(server);
}

void
http_server_resume(struct http_server *server)
{
    if (UNLIKELY(!server->accepting)) {
        update_accepting(server);
    }
}

void
http_server_conn_closed(struct http_server *server)
{
    ASSERT(server->n_conns > 0);
    server->n_conns--;
    metric_subtract(&server->metrics->open_connections, 1);
    update_accepting(server);
}

/* Makes room for one more, so that a flood of half-open requests cannot shut others out. False if
 * every connection is being served. */
static bool
evict(struct http_server *server)
{
    struct conn *victim = longest_waiting(server);
    if (victim == NULL) {
        return false;
    }
    conn_close(victim);
    metric_add(&server->metrics->connections_evicted, 1);
    return true;
}

void
http_server_conn_opening(struct http_server *server)
{
    if (is_full(server)) {
        evict(server);
    }
    server->n_conns++;
    metric_add(&server->metrics->open_connections, 1);
}

/* Descriptors have run out: answers the waiting connection by closing it, or the listener would
 * stay readable and the loop would spin. */
static void
shed(struct http_server *server, int listener_fd)
{
    fd_close(&server->spare_fd);
    int fd = accept4(listener_fd, NULL, NULL, SOCK_CLOEXEC);
    fd_close(&fd);
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* False if no connection waits. */
static bool
accept_failed(struct http_listener *listener, int error)
{
    struct http_server *server = listener->server;
    if (error == EAGAIN || error == EWOULDBLOCK) {
        return false;
    }
    if (error == EINTR || error == ECONNABORTED || error == EPROTO) {
        return true; /* the peer has given up already; the next one may be fine */
    }
    static struct log_limit limit;
    log_limited(&limit, LOG_LEVEL_ERROR, "Cannot accept a connection: %s", strerror(error));
    metric_add(&server->metrics->accept_errors, 1);
    if ((error == EMFILE || error == ENFILE) && !evict(server)) {
        shed(server, listener->watch.fd);
    }
    return true;
}

/* Accepts one connection. False if none waits. */
static bool
accept_one(struct http_listener *listener)
{
    struct http_server *server = listener->server;
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer);
    peer.ss_family = AF_UNSPEC; /* an unnamed unix peer has no address at all */
    int fd =
        accept4(listener->watch.fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    fd = fd_above_stdio(fd); /* the application may have closed its standard output */
    if (fd < 0) {
        return accept_failed(listener, errno);
    }
    http_server_conn_opening(server);
    metric_add(&server->metrics->connections, 1);
    h1_open(server, listener->index, fd, (struct sockaddr *)&peer);
    return true;
}

static void
listener_ready(struct watch *watch, unsigned events)
{
    (void)events;
    struct http_listener *listener = CONTAINER_OF(watch, struct http_listener, watch);
    struct http_server *server = listener->server;
    for (unsigned i = 0; i < server->settings.accept_batch; i++) {
        if (is_full(server) && longest_waiting(server) == NULL) {
            update_accepting(server); /* until a connection has gone */
            return;
        }
        if (!accept_one(listener)) {
            return;
        }
    }
}

void
http_server_drain(struct http_server *server)
{
    if (server->draining) {
        return;
    }
    server->draining = true;
    server->drain_start_ns = server->loop->clock.mono_ns;
    http_server_accept(server, false);
    for (unsigned i = 0; i < server->n_listeners; i++) {
        for (int n = 0; n < DRAIN_ACCEPT_MAX && accept_one(&server->listeners[i]); n++) {
        }
        server->listeners[i].watch.fd = -1; /* an event may have been taken already */
    }
    server->n_listeners = 0;
}

bool
http_server_ends(const struct http_server *server)
{
    const struct http_heirs *heirs = &server->heirs;
    return server->draining && (heirs->any == NULL || !heirs->any(heirs->context));
}

bool
http_server_bequeath(struct http_server *server)
{
    const struct http_heirs *heirs = &server->heirs;
    bool left = false;
    if (http_server_ends(server)) {
        return false;
    }
    struct list *next;
    for (struct list *node = server->conns.next; node != &server->conns; node = next) {
        struct conn *conn = LIST_ENTRY(node, struct conn, node);
        next = node->next;
        if (h1_may_leave(conn)) {
            left |= heirs->pass(heirs->context, conn) == -EAGAIN;
        }
    }
    return left;
}

bool
http_server_busy(const struct http_server *server, int64_t now_ns)
{
    const struct list *head = &server->conns;
    for (struct list *node = head->next; node != head; node = node->next) {
        if (h1_busy_until(LIST_ENTRY(node, struct conn, node)) > now_ns) {
            return true;
        }
    }
    return false;
}
