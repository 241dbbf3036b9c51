/* SPDX-License-Identifier: MIT */
#include "net/conn.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/panic.h"
#include "log/limit.h"
#include "log/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FLUSH_MAX_BYTES = 2 * 1024 * 1024, /* sent in one go before others get their turn */
    SPOOL_STEP_BYTES = 32 * 1024,      /* read back from a spool at a time */
};

static void conn_ready(struct watch *watch, unsigned events);

static void
set_peer(struct conn *conn, const struct sockaddr *peer)
{
    const void *address = NULL;
    if (peer->sa_family == AF_INET) {
        const struct sockaddr_in *in4 = (const struct sockaddr_in *)peer;
        address = &in4->sin_addr;
        conn->peer_port = ntohs(in4->sin_port);
    } else if (peer->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)peer;
        address = &in6->sin6_addr;
        conn->peer_port = ntohs(in6->sin6_port);
    }
    if (address && inet_ntop(peer->sa_family, address, conn->peer_text, CONN_PEER_TEXT_MAX)) {
        conn->peer_text_len = (uint8_t)strlen(conn->peer_text);
    }
}

void
conn_init(struct conn *conn, struct loop *loop, int fd, const struct sockaddr *peer)
{
    memset(conn, 0, sizeof(*conn));
    conn->watch = (struct watch){.fd = fd, .ready = conn_ready};
    conn->loop = loop;
    conn->transport = &transport_plain;
    conn->file.fd = -1;
    conn->spool_max = INT64_MAX;
    timeout_init(&conn->timeout);
    list_init(&conn->node);
    if (peer) {
        set_peer(conn, peer);
    }
}

void
conn_set_peer(struct conn *conn, struct span text, uint16_t port)
{
    conn->peer_text_len = (uint8_t)MIN_OF(text.n, (size_t)CONN_PEER_TEXT_MAX);
    if (conn->peer_text_len > 0) {
        memcpy(conn->peer_text, text.p, conn->peer_text_len);
    }
    conn->peer_port = port;
}

static void
drop_output(struct conn *conn)
{
    block_release(&conn->loop->blocks, &conn->out);
    if (conn->spool) {
        spool_fini(conn->spool);
        free(conn->spool);
        conn->spool = NULL;
    }
    fd_close(&conn->file.fd);
    conn->file.left = 0;
    conn->file_tail.n = 0;
}

void
conn_close(struct conn *conn)
{
    if (!conn_is_open(conn)) {
        return;
    }
    timeout_stop(&conn->timeout);
    /* Explicitly, because a child that the application forked may hold the descriptor open. */
    int rc = reactor_set(&conn->loop->reactor, &conn->watch, 0);
    (void)rc;
    conn->watch.interest = 0;
    fd_close(&conn->watch.fd);
    drop_output(conn);
    list_remove(&conn->node);
    conn->protocol->closed(conn);
    if (conn->pins == 0) {
        list_append(&conn->loop->closed, &conn->node);
    }
}

/* What happens to connections every day. */
static bool
is_everyday(int rc)
{
    switch (-rc) {
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ENOTCONN:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
        return true;
    default:
        return false;
    }
}

void
conn_fail(struct conn *conn, int rc)
{
    if (!is_everyday(rc) && conn_is_open(conn)) {
        static struct log_limit limit;
        log_limited(&limit, LOG_LEVEL_ERROR, "Closing a connection from ip=%.*s: %s",
                    (int)conn->peer_text_len, conn->peer_text, strerror(-rc));
    }
    conn_close(conn);
}

void
conn_pin(struct conn *conn)
{
    conn->pins++;
}

void
conn_unpin(struct conn *conn)
{
    ASSERT(conn->pins > 0);
    conn->pins--;
    if (conn->pins == 0 && !conn_is_open(conn)) {
        list_append(&conn->loop->closed, &conn->node);
    }
}

void
conn_release(struct conn *conn)
{
    block_release(&conn->loop->blocks, &conn->in);
    conn->protocol->release(conn);
}

/* --- input --- */

ssize_t
conn_read_scratch(struct conn *conn)
{
    return conn->transport->read(conn, conn->loop->scratch, LOOP_SCRATCH_BYTES);
}

ssize_t
conn_read(struct conn *conn)
{
    /* Through the scratch memory, so that the block can be as small as what came. */
    ssize_t got = conn_read_scratch(conn);
    if (got > 0) {
        block_append(&conn->loop->blocks, &conn->in, conn->loop->scratch, (size_t)got);
    }
    return got;
}

/* Fails when the kernel is out of memory or of watches (fs.epoll.max_user_watches): then the
 * connection cannot be served. */
static int
set_interest(struct conn *conn, unsigned interest)
{
    return reactor_set(&conn->loop->reactor, &conn->watch, interest);
}

void
conn_set_reading(struct conn *conn, bool on)
{
    conn->reading = on;
    /* Switched off only when something comes: most often nothing does before it is on again. */
    if (on && conn_is_open(conn) && !(conn->watch.interest & REACTOR_READ)) {
        int rc = set_interest(conn, conn->watch.interest | REACTOR_READ);
        if (UNLIKELY(rc < 0)) {
            conn_fail(conn, rc);
        }
    }
}

/* --- output --- */

int64_t
conn_pending(const struct conn *conn)
{
    int64_t spooled = conn->spool ? spool_pending(conn->spool) : 0;
    return conn->out.len + spooled + conn->file.left + (int64_t)conn->file_tail.n;
}

void
conn_put(struct conn *conn, const void *bytes, size_t n)
{
    ASSERT(conn->spool == NULL);
    block_append(&conn->loop->blocks, &conn->out, bytes, n);
}

/* Keeps bytes that the peer did not take. */
static int
queue(struct conn *conn, const void *bytes, size_t n)
{
    if (conn->spool == NULL && conn->out.len + n <= CONN_OUT_MEMORY_MAX) {
        conn_put(conn, bytes, n);
        return 0;
    }
    if (conn->spool == NULL) {
        conn->spool = mem_alloc(sizeof(*conn->spool));
        spool_init(conn->spool);
    }
    return spool_append(conn->spool, conn->spool_directory, bytes, n);
}

/* Asks to be told when the peer takes more, or stops asking. */
static int
update_writing(struct conn *conn)
{
    bool wanted = conn_pending(conn) > 0;
    unsigned interest = conn->watch.interest;
    unsigned now = wanted ? interest | REACTOR_WRITE : interest & ~(unsigned)REACTOR_WRITE;
    return now != interest ? set_interest(conn, now) : 0;
}

static int
queue_rest(struct conn *conn, const struct iovec *iov, int n, size_t sent)
{
    for (int i = 0; i < n; i++) {
        if (sent >= iov[i].iov_len) {
            sent -= iov[i].iov_len;
            continue;
        }
        int rc = queue(conn, (const char *)iov[i].iov_base + sent, iov[i].iov_len - sent);
        if (rc < 0) {
            return rc;
        }
        sent = 0;
    }
    return 0;
}

int
conn_writev(struct conn *conn, struct iovec *iov, int n)
{
    ASSERT(n <= CONN_IOV_MAX);
    if (!conn_is_open(conn)) {
        return -EPIPE;
    }
    struct iovec all[CONN_IOV_MAX + 1];
    int count = 0;
    if (conn->out.len > 0) {
        all[count++] = (struct iovec){block_begin(&conn->out), conn->out.len};
    }
    for (int i = 0; i < n; i++) {
        all[count++] = iov[i];
    }
    ssize_t sent = 0;
    if (!conn_is_behind(conn)) {
        sent = conn->transport->writev(conn, all, count, false);
        if (sent < 0 && sent != -EAGAIN) {
            return (int)sent;
        }
        sent = MAX_OF(sent, 0);
    }
    size_t first = MIN_OF((size_t)sent, conn->out.len);
    if (first > 0) {
        block_consume(&conn->loop->blocks, &conn->out, first);
    }
    int rc = queue_rest(conn, iov, n, (size_t)sent - first);
    return rc < 0 ? rc : update_writing(conn);
}

int
conn_send_file(struct conn *conn, int fd, int64_t offset, int64_t length, struct span tail)
{
    ASSERT(conn->file.fd < 0);
    if (!conn_is_open(conn)) {
        return -EPIPE;
    }
    int copy = fd_dup(fd);
    if (copy < 0) {
        return -errno;
    }
    conn->file = (struct conn_file){.fd = copy, .offset = offset, .left = length};
    conn->file_tail = tail;
    return conn_flush(conn);
}

/* The next piece of output leaves: bytes sent, 0 if nothing is queued, negative errno. */
static ssize_t
send_memory(struct conn *conn)
{
    struct iovec iov = {block_begin(&conn->out), conn->out.len};
    bool more = conn->spool != NULL || conn->file.fd >= 0;
    ssize_t sent = conn->transport->writev(conn, &iov, 1, more);
    if (sent > 0) {
        block_consume(&conn->loop->blocks, &conn->out, (size_t)sent);
    }
    return sent;
}

/* By way of memory, not by sendfile(2): a socket keeps the pages of a file until the peer has the
 * bytes, and giving their disk space back (spool_consume) zeroes pages that are not sent yet. */
static ssize_t
send_spool(struct conn *conn)
{
    struct spool *spool = conn->spool;
    size_t n = (size_t)MIN_OF(spool_pending(spool), SPOOL_STEP_BYTES);
    block_reserve(&conn->loop->blocks, &conn->out, n);
    ssize_t got = spool_pread(spool, block_end(&conn->out), n, spool->read);
    if (got <= 0) {
        return got < 0 ? got : -EIO;
    }
    conn->out.len += (uint32_t)got;
    spool_consume(spool, got);
    if (spool_pending(spool) == 0) {
        spool_fini(spool);
        free(spool);
        conn->spool = NULL;
    }
    return send_memory(conn);
}

static ssize_t
send_file(struct conn *conn)
{
    struct conn_file *file = &conn->file;
    size_t n = (size_t)MIN_OF(file->left, FLUSH_MAX_BYTES);
    ssize_t sent = n > 0 ? conn->transport->sendfile(conn, file->fd, file->offset, n) : 0;
    if (sent == 0 && n > 0) {
        return -EIO; /* the file has shrunk: what was promised cannot be kept */
    }
    if (sent > 0) {
        file->offset += sent;
        file->left -= sent;
    }
    if (sent >= 0 && file->left == 0) {
        fd_close(&file->fd);
        conn_put(conn, conn->file_tail.p, conn->file_tail.n);
        conn->file_tail.n = 0;
    }
    return sent;
}

static ssize_t
send_next(struct conn *conn)
{
    if (conn->out.len > 0) {
        return send_memory(conn);
    }
    if (conn->spool) {
        return send_spool(conn);
    }
    return send_file(conn);
}

static bool
has_output(const struct conn *conn)
{
    return conn->out.len > 0 || conn->spool || conn->file.fd >= 0;
}

int
conn_flush(struct conn *conn)
{
    if (!conn_is_open(conn)) {
        return -EPIPE;
    }
    int64_t total = 0;
    while (has_output(conn) && total < FLUSH_MAX_BYTES) {
        ssize_t sent = send_next(conn);
        if (sent == -EAGAIN) {
            break;
        }
        if (sent < 0) {
            return (int)sent;
        }
        total += sent;
    }
    return update_writing(conn);
}

/* --- events --- */

static void
conn_writable(struct conn *conn)
{
    int64_t before = conn_pending(conn);
    int rc = conn_flush(conn);
    if (rc < 0) {
        conn_fail(conn, rc);
        return;
    }
    int64_t after = conn_pending(conn);
    if (after == 0) {
        conn->protocol->drained(conn);
    } else if (after < before) {
        conn->protocol->progress(conn);
    }
}

static void
conn_ready(struct watch *watch, unsigned events)
{
    struct conn *conn = CONTAINER_OF(watch, struct conn, watch);
    if ((events & (REACTOR_WRITE | REACTOR_HANGUP)) && (watch->interest & REACTOR_WRITE)) {
        conn_writable(conn);
        if (!conn_is_open(conn)) {
            return;
        }
    }
    if (!(events & (REACTOR_READ | REACTOR_HANGUP))) {
        return;
    }
    if (conn->reading) {
        conn->protocol->readable(conn);
    } else if (events & REACTOR_HANGUP) {
        conn_close(conn); /* nothing can be read or written any more */
    } else {
        int rc = set_interest(conn, watch->interest & ~(unsigned)REACTOR_READ);
        if (UNLIKELY(rc < 0)) {
            conn_fail(conn, rc);
        }
    }
}

/* --- time --- */

void
conn_timeout_start(struct conn *conn, enum timeout_kind kind)
{
    conn->timeout_kind = (uint8_t)kind;
    timeout_start(&conn->loop->timeouts[kind], &conn->timeout, conn->loop->clock.mono_ns);
}

void
conn_timeout_start_since(struct conn *conn, enum timeout_kind kind, int64_t since_ns)
{
    conn->timeout_kind = (uint8_t)kind;
    timeout_start_since(&conn->loop->timeouts[kind], &conn->timeout,
                        MIN_OF(since_ns, conn->loop->clock.mono_ns));
}

void
conn_timeout_stop(struct conn *conn)
{
    timeout_stop(&conn->timeout);
}

int64_t
conn_timeout_since(const struct conn *conn)
{
    return timeout_since(&conn->loop->timeouts[conn->timeout_kind], &conn->timeout);
}

void
conn_timed_out(struct timeout *timeout, enum timeout_kind kind)
{
    struct conn *conn = CONTAINER_OF(timeout, struct conn, timeout);
    conn->protocol->timed_out(conn, kind);
}
