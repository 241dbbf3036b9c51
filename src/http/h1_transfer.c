/* SPDX-License-Identifier: MIT */
/*
 * The sender closes its descriptor without a word as soon as the message is in the mailbox: the
 * connection lives on in the message, and then in the receiver. Bytes that it had read travel as
 * they came; the receiver parses them anew, because its limits may be those of another
 * configuration. Only the body of a request travels decoded.
 */
#include "http/h1_transfer.h"

#include "base/fd.h"
#include "http/h1.h"
#include "http/h1_message.h"
#include "http/h1_state.h"
#include "http/request.h"
#include "log/limit.h"
#include "log/log.h"
#include "net/conn.h"
#include "net/mailbox.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

enum {
    ADOPT_BATCH = 16, /* connections taken over in one go */
    PARTS_MAX = 4,    /* of a message: the fixed part, head, body, rest */
};

/* --- away --- */

/* What every message says. */
static void
describe(struct h1_message *message, const struct h1_conn *h1, enum h1_message_kind kind)
{
    const struct conn *conn = &h1->conn;
    const struct http_server *server = h1->server;
    memset(message, 0, sizeof(*message)); /* padding included */
    message->version = H1_MESSAGE_VERSION;
    message->kind = (uint8_t)kind;
    if (h1->listener < server->n_known) {
        message->listener = server->listeners[h1->listener].id;
    }
    message->requests = h1->requests - (h1->request ? 1 : 0);
    message->served = h1->served;
    message->last = h1->last;
    message->peer_port = conn->peer_port;
    message->peer_len = conn->peer_text_len;
    memcpy(message->peer, conn->peer_text, conn->peer_text_len);
}

/* Whether the bytes that were read are still what the peer has sent: joining a folded line changes
 * them in place. */
static bool
is_intact(const struct h1_conn *h1)
{
    return h1->conn.in.len == 0 || !h1->server->settings.limits.permit_obsolete_folding;
}

/* Everything that was said must be with the peer before somebody else speaks. */
static int
prepare(struct h1_conn *h1)
{
    struct conn *conn = &h1->conn;
    if (!conn_is_open(conn)) {
        return -ENOTCONN;
    }
    if (conn->transport != &transport_plain || !is_intact(h1)) {
        return -EOPNOTSUPP;
    }
    if (conn_pending(conn) > 0) {
        int rc = conn_flush(conn);
        if (rc < 0) {
            conn_fail(conn, rc);
            return -ENOTCONN;
        }
    }
    return conn_pending(conn) > 0 ? -EAGAIN : 0;
}

static int
send_away(struct h1_conn *h1, int mailbox_fd, const struct iovec *parts, size_t n_parts,
          int spool_fd)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n_parts; i++) {
        bytes += parts[i].iov_len;
    }
    if (bytes > MAILBOX_BYTES_MAX) {
        return -EMSGSIZE;
    }
    int fds[MAILBOX_FDS_MAX] = {h1->conn.watch.fd, spool_fd};
    int rc = mailbox_send(mailbox_fd, parts, n_parts, fds, spool_fd >= 0 ? 2 : 1);
    if (rc == 0) {
        metric_add(&h1->server->metrics->connections_moved_out, 1);
        h1_let_go(h1);
    }
    return rc;
}

int
h1_move(struct conn *conn, int mailbox_fd)
{
    struct h1_conn *h1 = h1_of(conn);
    if (!h1_may_leave(conn)) {
        return -EBUSY;
    }
    int rc = prepare(h1);
    if (rc < 0) {
        return rc;
    }
    struct h1_message message;
    describe(&message, h1, H1_MESSAGE_CONNECTION);
    message.head_bytes = conn->in.len;
    message.timeout_kind = conn->timeout_kind;
    message.since_ns = MAX_OF(conn_timeout_since(conn), 0);
    struct iovec parts[] = {
        {&message, sizeof(message)},
        {block_begin(&conn->in), conn->in.len},
    };
    return send_away(h1, mailbox_fd, parts, ARRAY_LEN(parts), -1);
}

int
h1_move_request(struct request *request, int mailbox_fd)
{
    struct conn *conn = request->conn;
    struct h1_conn *h1 = h1_of(conn);
    int rc = request->trailers.len > 0 ? -EOPNOTSUPP : prepare(h1);
    if (rc < 0) {
        return rc;
    }
    bool spooled = request->spool.fd >= 0;
    size_t used = h1_input_bytes(request);
    struct h1_message message;
    describe(&message, h1, H1_MESSAGE_REQUEST);
    message.head_bytes = request->head.head_len;
    message.body_bytes = spooled ? 0 : (uint32_t)request->body_bytes;
    message.rest_bytes = conn->in.len - (uint32_t)used;
    message.spooled = spooled;
    message.spooled_bytes = spooled ? request->body_bytes : 0;
    message.since_ns = request->start_ns;
    struct iovec parts[PARTS_MAX] = {
        {&message, sizeof(message)},
        {(char *)request->base, request->head.head_len},
        {(char *)request->body, message.body_bytes},
        {block_begin(&conn->in) + used, message.rest_bytes},
    };
    return send_away(h1, mailbox_fd, parts, PARTS_MAX, request->spool.fd);
}

/* --- in --- */

/* How well a listener at `ours` stands for one that had accepted a connection at `local`. */
static int
likeness(const struct sockaddr_storage *ours, const struct sockaddr_storage *local)
{
    const struct sockaddr_in *a4 = (const struct sockaddr_in *)ours;
    const struct sockaddr_in *b4 = (const struct sockaddr_in *)local;
    const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)ours;
    const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *)local;
    if (ours->ss_family != local->ss_family) {
        return 0;
    }
    if (ours->ss_family == AF_INET) {
        return 1 + 2 * (a4->sin_port == b4->sin_port) +
               (a4->sin_addr.s_addr == b4->sin_addr.s_addr);
    }
    if (ours->ss_family == AF_INET6) {
        return 1 + 2 * (a6->sin6_port == b6->sin6_port) +
               (memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0);
    }
    return 1 + (strcmp(((const struct sockaddr_un *)ours)->sun_path,
                       ((const struct sockaddr_un *)local)->sun_path) == 0);
}

static void
local_address(int fd, struct sockaddr_storage *ret_address)
{
    socklen_t size = sizeof(*ret_address) - 1; /* a path need not end with a NUL */
    memset(ret_address, 0, sizeof(*ret_address));
    if (getsockname(fd, (struct sockaddr *)ret_address, &size) < 0) {
        ret_address->ss_family = AF_UNSPEC;
    }
}

/* The listener of ours that is most like the one that the connection came through. */
static unsigned
similar_listener(const struct http_server *server, int fd)
{
    struct sockaddr_storage local;
    struct sockaddr_storage ours;
    unsigned best = 0;
    int best_likeness = 0;
    local_address(fd, &local);
    for (unsigned i = 0; i < server->n_listeners; i++) {
        local_address(server->listeners[i].watch.fd, &ours);
        int like = likeness(&ours, &local);
        if (like > best_likeness) {
            best_likeness = like;
            best = i;
        }
    }
    return best;
}

static bool
find_listener(const struct http_server *server, uint32_t id, unsigned *ret_index)
{
    for (unsigned i = 0; i < server->n_known && id != 0; i++) {
        if (server->listeners[i].id == id) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

static void
import(struct http_server *server, const struct h1_message *message, const char *payload,
       struct mail_fds *fds)
{
    unsigned listener = 0;
    bool known = find_listener(server, message->listener, &listener);
    if (!known) {
        listener = similar_listener(server, fds->items[0]);
    }
    http_server_conn_opening(server);
    struct h1_conn *h1 = h1_new(server, listener, fds->items[0], NULL);
    struct conn *conn = &h1->conn;
    conn_set_peer(conn, span_of(message->peer, message->peer_len), message->peer_port);
    h1->requests = message->requests;
    h1->served = message->served;
    h1->placed = true;
    h1->last = message->last || !known;
    size_t bytes = h1_message_payload(message);
    if (bytes > 0) {
        block_append(&server->loop->blocks, &conn->in, payload, bytes);
    }
    if (message->kind == H1_MESSAGE_CONNECTION) {
        conn_timeout_start_since(conn, (enum timeout_kind)message->timeout_kind, message->since_ns);
        h1_resume(h1);
    } else if (message->spooled) {
        h1_resume_request(h1, message->head_bytes, message->spooled_bytes, fds->items[1],
                          message->since_ns);
    } else {
        h1_resume_request(h1, message->head_bytes, message->body_bytes, -1, message->since_ns);
    }
}

static void
refuse_mail(const struct http_server *server, int rc)
{
    static struct log_limit limit;
    log_limited(&limit, LOG_LEVEL_ERROR, "Cannot take over a connection: %s", strerror(-rc));
    metric_add(&server->metrics->accept_errors, 1);
}

/* The application may have closed its standard output, whose number nothing else may get. */
static int
move_fds_above_stdio(struct mail_fds *fds)
{
    int rc = 0;
    for (unsigned i = 0; i < fds->count; i++) {
        fds->items[i] = fd_above_stdio(fds->items[i]);
        if (fds->items[i] < 0) {
            rc = -EMFILE;
        }
    }
    return rc;
}

/* Takes over one connection. False: none waits. */
static bool
adopt_one(struct http_server *server)
{
    struct blocks *blocks = &server->loop->blocks;
    struct h1_message message;
    struct mail_fds fds;
    struct block mail = {0};
    block_reserve(blocks, &mail, MAILBOX_BYTES_MAX);
    ssize_t got = mailbox_receive(server->mailbox.fd, block_begin(&mail), MAILBOX_BYTES_MAX, &fds);
    if (got == MAILBOX_NUDGE_BYTES && fds.count == 0) {
        block_release(blocks, &mail);
        return true; /* to be awake was all it was for */
    }
    int rc = (int)MIN_OF(got, 0);
    if (got > 0) {
        rc = h1_message_decode(block_begin(&mail), (size_t)got, fds.count, &message);
    }
    if (rc == 0 && got > 0) {
        rc = move_fds_above_stdio(&fds);
    }
    bool any = got != 0 && rc != -EAGAIN;
    if (any) {
        metric_add(&server->metrics->connections_moved_in, 1);
    }
    if (rc == 0 && got > 0) {
        import(server, &message, block_begin(&mail) + sizeof(message), &fds);
    } else {
        mail_fds_close(&fds);
        if (any) {
            refuse_mail(server, rc);
        }
    }
    block_release(blocks, &mail);
    return any;
}

bool
h1_adopt(struct http_server *server)
{
    int n = 0;
    while (n < ADOPT_BATCH && server->mailbox.fd >= 0 && adopt_one(server)) {
        n++;
    }
    return n > 0;
}

static void
mailbox_ready(struct watch *watch, unsigned events)
{
    struct http_server *server = CONTAINER_OF(watch, struct http_server, mailbox);
    bool any = h1_adopt(server);
    if (!any && (events & REACTOR_HANGUP)) {
        int rc = reactor_set(&server->loop->reactor, watch, 0);
        (void)rc; /* removing does not fail */
    }
}

int
h1_adopt_from(struct http_server *server, int fd)
{
    server->mailbox = (struct watch){.fd = fd, .ready = mailbox_ready};
    return reactor_set(&server->loop->reactor, &server->mailbox, REACTOR_READ);
}
