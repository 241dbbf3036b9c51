/* SPDX-License-Identifier: MIT */
/* Connections that move from one server to another, through a mailbox. */
#include "http/h1_transfer.h"

#include "base/mem.h"
#include "http/h1.h"
#include "http/h1_message.h"
#include "http/request.h"
#include "net/mailbox.h"

#include "engine.h"
#include "fds.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* A worker without processes. */
struct side {
    struct loop loop;
    struct http_server server;
    struct inline_executor executor;
    struct metrics metrics;
    struct mailbox mailbox;
    struct mailbox *heir; /* where a server that drains sends its connections; NULL: nowhere */
    int calls;
    uint16_t port; /* the peer's, of the last request */
    char peer[CONN_PEER_TEXT_MAX + 1];
    unsigned listener;
    int64_t start_ns; /* of the last request */
};

struct world {
    int listeners[2]; /* known as 7 and 8: index 0 and 1 of `from`, 1 and 0 of `to` */
    struct side from;
    struct side to;
    int fds_before;
    int client;
    char reply[1 << 18];
    size_t reply_len;
};

/* Answers with "METHOD TARGET BODY", chunked. */
static void
echo(void *context, struct request *request)
{
    struct side *side = context;
    char body[4096];
    struct response_head head = {SPAN("200 OK"), NULL, 0};
    size_t field;
    side->calls++;
    side->port = request_peer_port(request);
    side->listener = request_listener(request);
    side->start_ns = request->start_ns;
    struct span peer = request_peer(request);
    snprintf(side->peer, sizeof(side->peer), "%.*s", (int)peer.n, peer.p);
    assert_int_equal(response_start(request, &head, &field), 0);
    struct span method = h1_part_span(request->base, request->head.method);
    struct span target = h1_part_span(request->base, request->head.target);
    assert_true(response_write(request, method, false) >= 0);
    assert_true(response_write(request, target, false) >= 0);
    ssize_t got;
    while ((got = request_body_read(request, body, sizeof(body))) > 0) {
        assert_true(response_write(request, span_of(body, (size_t)got), false) >= 0);
    }
    assert_int_equal(got, 0);
    response_finish(request);
    request_done(request);
}

static bool
any_heir(void *context)
{
    const struct side *side = context;
    return side->heir != NULL;
}

static int
pass_to_heir(void *context, struct conn *conn)
{
    const struct side *side = context;
    return h1_move(conn, side->heir->write_fd);
}

static void
open_side(struct side *side)
{
    assert_int_equal(mailbox_open(&side->mailbox), 0);
    engine_open(&side->loop, &side->server, &side->executor, &side->metrics,
                &(struct application){echo, side});
    side->server.heirs = (struct http_heirs){side, any_heir, pass_to_heir};
    assert_int_equal(h1_adopt_from(&side->server, side->mailbox.read_fd), 0);
}

static void
close_side(struct side *side)
{
    engine_close(&side->executor);
    assert_int_equal(atomic_load(&side->metrics.open_connections), 0);
    mailbox_close(&side->mailbox);
}

/* A connection of `side`; the client's end. */
static int
connect_to(struct side *side)
{
    int fds[2];
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(12345)};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    loop_lock(&side->loop);
    http_server_conn_opening(&side->server);
    h1_open(&side->server, 0, fds[0], (const struct sockaddr *)&peer);
    loop_unlock(&side->loop);
    return fds[1];
}

static void
listen_on(struct world *w)
{
    for (size_t i = 0; i < ARRAY_LEN(w->listeners); i++) {
        struct sockaddr_in any = {.sin_family = AF_INET};
        w->listeners[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(w->listeners[i], (struct sockaddr *)&any, sizeof(any)), 0);
        assert_int_equal(listen(w->listeners[i], 1), 0);
    }
    http_server_listen(&w->from.server, w->listeners, (uint32_t[]){7, 8}, 2);
    http_server_listen(&w->to.server, (int[]){w->listeners[1], w->listeners[0]}, (uint32_t[]){8, 7},
                       2);
}

static int
set_up(void **state)
{
    struct world *w = test_calloc(1, sizeof(*w));
    w->fds_before = open_fds();
    open_side(&w->from);
    open_side(&w->to);
    listen_on(w);
    w->client = connect_to(&w->from);
    *state = w;
    return 0;
}

static int
tear_down(void **state)
{
    struct world *w = *state;
    close_side(&w->from);
    close_side(&w->to);
    close(w->client);
    close(w->listeners[0]);
    close(w->listeners[1]);
    assert_int_equal(open_fds(), w->fds_before);
    test_free(w);
    return 0;
}

/* Reads, but runs no request. */
static void
half_turn(struct side *side)
{
    engine_half_turn(&side->loop);
}

static void
turn(struct side *side)
{
    engine_turn(&side->executor);
}

static void
client_sends(const struct world *w, const char *text)
{
    size_t n = strlen(text);
    assert_int_equal(send(w->client, text, n, MSG_NOSIGNAL), n);
}

/* What the client gets until both servers have nothing to do; true if the connection was closed. */
static bool
client_reads(struct world *w)
{
    for (int idle = 0; idle < 4;) {
        turn(&w->from);
        turn(&w->to);
        ssize_t got =
            recv(w->client, w->reply + w->reply_len, sizeof(w->reply) - 1 - w->reply_len, 0);
        if (got == 0) {
            return true;
        }
        idle = got > 0 ? 0 : idle + 1;
        w->reply_len += (size_t)MAX_OF(got, 0);
        w->reply[w->reply_len] = '\0';
    }
    return false;
}

static struct conn *
only_conn(struct side *side)
{
    struct list *node = list_first(&side->server.conns);
    assert_non_null(node);
    return LIST_ENTRY(node, struct conn, node);
}

static void
move(struct world *w)
{
    loop_lock(&w->from.loop);
    assert_int_equal(h1_move(only_conn(&w->from), w->to.mailbox.write_fd), 0);
    loop_turn_end(&w->from.loop);
    loop_unlock(&w->from.loop);
    assert_int_equal(w->from.server.n_conns, 0);
}

static void
test_an_idle_connection_moves(void **state)
{
    struct world *w = *state;
    client_sends(w, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_false(client_reads(w));
    int64_t since_ns = conn_timeout_since(only_conn(&w->from));
    move(w);
    half_turn(&w->to);
    struct conn *conn = only_conn(&w->to);
    assert_true(conn_timeout_runs(conn, TIMEOUT_KEEPALIVE));
    assert_int_equal(conn_timeout_since(conn), since_ns);
    client_sends(w, "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_false(client_reads(w));
    assert_non_null(strstr(w->reply, "/2\r\n0\r\n\r\n"));
    assert_int_equal(w->to.calls, 1);
    assert_string_equal(w->to.peer, "0.0.0.0");
    assert_int_equal(w->to.port, 12345);
    assert_int_equal(w->to.listener, 1);
    assert_int_equal(atomic_load(&w->from.metrics.connections_moved_out), 1);
    assert_int_equal(atomic_load(&w->to.metrics.connections_moved_in), 1);
    assert_null(strstr(w->reply, "Connection: close"));
}

static void
test_half_a_head_moves(void **state)
{
    struct world *w = *state;
    client_sends(w, "GET /half HTTP/1.1\r\nHo");
    turn(&w->from);
    int64_t since_ns = conn_timeout_since(only_conn(&w->from));
    move(w);
    half_turn(&w->to);
    assert_true(conn_timeout_runs(only_conn(&w->to), TIMEOUT_HEAD));
    assert_int_equal(conn_timeout_since(only_conn(&w->to)), since_ns);
    client_sends(w, "st: h\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_false(client_reads(w));
    assert_non_null(strstr(w->reply, "5\r\n/half\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(w->reply, "5\r\n/next\r\n0\r\n\r\n"));
    assert_int_equal(w->to.calls, 2);
}

/* It may have sent its first request by now. */
static void
test_a_new_connection_moves(void **state)
{
    struct world *w = *state;
    client_sends(w, "GET /new HTTP/1.1\r\nHost: h\r\n\r\n");
    move(w);
    half_turn(&w->to);
    assert_int_equal(atomic_load(&w->to.metrics.requests), 1);
    assert_false(client_reads(w));
    assert_non_null(strstr(w->reply, "/new"));
}

/* Across two servers and back. */
static void
test_a_connection_moves_back(void **state)
{
    struct world *w = *state;
    move(w);
    half_turn(&w->to);
    loop_lock(&w->to.loop);
    assert_int_equal(h1_move(only_conn(&w->to), w->from.mailbox.write_fd), 0);
    loop_unlock(&w->to.loop);
    turn(&w->to);
    client_sends(w, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_false(client_reads(w));
    assert_int_equal(w->from.calls, 1);
    assert_int_equal(w->from.listener, 0);
    assert_int_equal(w->from.port, 12345);
    assert_null(strstr(w->reply, "Connection: close"));
}

/* Takes the only request out of the executor's queue. */
static struct request *
take_request(struct side *side)
{
    struct list *node = list_first(&side->executor.ready);
    assert_non_null(node);
    list_remove(node);
    return LIST_ENTRY(node, struct request, node);
}

static void
move_request(struct world *w)
{
    loop_lock(&w->from.loop);
    struct request *request = take_request(&w->from);
    assert_int_equal(h1_move_request(request, w->to.mailbox.write_fd), 0);
    loop_turn_end(&w->from.loop);
    loop_unlock(&w->from.loop);
    assert_int_equal(w->from.server.n_conns, 0);
    assert_int_equal(w->from.loop.blocks.used_bytes, 0);
}

static void
test_a_request_moves_with_what_follows(void **state)
{
    struct world *w = *state;
    client_sends(w, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde"
                    "GET /next HTTP/1.1\r\nHost: h\r\n\r\nGET /half");
    half_turn(&w->from);
    int64_t complete_ns = w->from.loop.clock.mono_ns;
    move_request(w);
    half_turn(&w->to);
    turn(&w->to);
    client_sends(w, " HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_false(client_reads(w));
    assert_non_null(strstr(w->reply, "5\r\n/body\r\n5\r\nabcde\r\n0\r\n\r\n"));
    assert_non_null(strstr(w->reply, "/next"));
    assert_non_null(strstr(w->reply, "/half"));
    assert_int_equal(w->from.calls, 0);
    assert_int_equal(w->to.calls, 3);
    assert_true(complete_ns > 0);
    assert_int_equal(atomic_load(&w->from.metrics.requests), 1);
    assert_int_equal(atomic_load(&w->to.metrics.requests), 2);
}

static void
test_a_request_keeps_the_time_at_which_it_was_complete(void **state)
{
    struct world *w = *state;
    client_sends(w, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    half_turn(&w->from);
    int64_t complete_ns = w->from.loop.clock.mono_ns;
    move_request(w);
    half_turn(&w->to);
    assert_int_equal(LIST_ENTRY(list_first(&w->to.executor.ready), struct request, node)->start_ns,
                     complete_ns);
}

/* The peer has been told to continue, and that is enough. */
static void
test_a_decoded_body_moves(void **state)
{
    struct world *w = *state;
    client_sends(w, "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                    "Expect: 100-continue\r\n\r\n");
    half_turn(&w->from);
    client_sends(w, "3\r\nabc\r\n");
    half_turn(&w->from);
    loop_lock(&w->from.loop);
    assert_int_equal(h1_move(only_conn(&w->from), w->to.mailbox.write_fd), -EBUSY);
    loop_unlock(&w->from.loop);
    client_sends(w, "2\r\nde\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    half_turn(&w->from);
    move_request(w);
    assert_false(client_reads(w));
    assert_memory_equal(w->reply, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", 42);
    assert_non_null(strstr(w->reply, "5\r\nabcde\r\n0\r\n\r\n"));
    assert_non_null(strstr(w->reply, "/next"));
}

static void
test_a_spooled_body_moves(void **state)
{
    enum { BYTES = 150000 };
    struct world *w = *state;
    char *body = test_malloc(BYTES + 1);
    memset(body, 'z', BYTES);
    body[BYTES] = '\0';
    client_sends(w, "PUT /s HTTP/1.1\r\nHost: h\r\nContent-Length: 150000\r\n\r\n");
    half_turn(&w->from);
    size_t sent = 0;
    while (sent < BYTES) {
        ssize_t n = send(w->client, body + sent, BYTES - sent, MSG_NOSIGNAL);
        sent += (size_t)MAX_OF(n, 0);
        half_turn(&w->from);
    }
    while (list_empty(&w->from.executor.ready)) {
        half_turn(&w->from);
    }
    client_sends(w, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    move_request(w);
    assert_false(client_reads(w));
    size_t count = 0;
    for (size_t i = 0; i < w->reply_len; i++) {
        count += w->reply[i] == 'z';
    }
    assert_int_equal(count, BYTES);
    assert_non_null(strstr(w->reply, "/next"));
    assert_int_equal(w->to.calls, 2);
    test_free(body);
}

static void
test_a_running_request_stays(void **state)
{
    struct world *w = *state;
    client_sends(w, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    half_turn(&w->from);
    loop_lock(&w->from.loop);
    assert_int_equal(h1_move(only_conn(&w->from), w->to.mailbox.write_fd), -EBUSY);
    loop_unlock(&w->from.loop);
    assert_false(client_reads(w));
    assert_int_equal(w->from.calls, 1);
}

static void
fill(const struct mailbox *mailbox)
{
    struct iovec iov = {(char *)"junk", 4};
    int fd = STDERR_FILENO;
    while (mailbox_send(mailbox->write_fd, &iov, 1, &fd, 1) == 0) {
    }
}

static void
test_a_full_mailbox_changes_nothing(void **state)
{
    struct world *w = *state;
    client_sends(w, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_false(client_reads(w));
    fill(&w->to.mailbox);
    loop_lock(&w->from.loop);
    assert_int_equal(h1_move(only_conn(&w->from), w->to.mailbox.write_fd), -EAGAIN);
    loop_unlock(&w->from.loop);
    client_sends(w, "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nxyz");
    half_turn(&w->from);
    loop_lock(&w->from.loop);
    struct request *request = take_request(&w->from);
    assert_int_equal(h1_move_request(request, w->to.mailbox.write_fd), -EAGAIN);
    list_append(&w->from.executor.ready, &request->node);
    loop_unlock(&w->from.loop);
    assert_false(client_reads(w));
    assert_non_null(strstr(w->reply, "2\r\n/b\r\n3\r\nxyz\r\n0\r\n\r\n"));
    assert_int_equal(w->from.calls, 2);
    assert_int_equal(w->to.server.n_conns, 0);
    assert_true(atomic_load(&w->to.metrics.accept_errors) > 0); /* the junk */
}

/* Fields that make a head of `n` bytes or a few more. */
static char *
long_head(size_t n)
{
    char *text = test_malloc(n + 8300);
    size_t len = (size_t)sprintf(text, "GET /long HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; len < n; i++) {
        len += (size_t)sprintf(text + len, "X-%d: %08000d\r\n", i, 0);
    }
    memcpy(text + len, "\r\n", 3);
    return text;
}

static void
test_what_is_too_long_for_a_message_stays(void **state)
{
    struct world *w = *state;
    char *head = long_head(MAILBOX_BYTES_MAX);
    client_sends(w, head);
    while (list_empty(&w->from.executor.ready)) {
        half_turn(&w->from);
    }
    loop_lock(&w->from.loop);
    struct request *request = take_request(&w->from);
    assert_int_equal(h1_move_request(request, w->to.mailbox.write_fd), -EMSGSIZE);
    list_append(&w->from.executor.ready, &request->node);
    loop_unlock(&w->from.loop);
    assert_false(client_reads(w));
    assert_non_null(strstr(w->reply, "/long"));
    test_free(head);
}

/* A folded line is joined in place: its bytes are not what the peer has sent. */
static void
test_with_folding_only_idle_connections_move(void **state)
{
    struct world *w = *state;
    w->from.server.settings.limits.permit_obsolete_folding = true;
    client_sends(w, "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n");
    turn(&w->from);
    loop_lock(&w->from.loop);
    assert_int_equal(h1_move(only_conn(&w->from), w->to.mailbox.write_fd), -EOPNOTSUPP);
    loop_unlock(&w->from.loop);
    client_sends(w, "\r\n");
    assert_false(client_reads(w));
    move(w);
}

/* What was said before must be with the peer, or the answers would change places. */
static void
test_output_that_waits_keeps_the_connection(void **state)
{
    enum { BYTES = 100000 };
    struct world *w = *state;
    struct conn *conn = only_conn(&w->from);
    char *text = test_malloc(BYTES);
    memset(text, 'o', BYTES);
    loop_lock(&w->from.loop);
    int pieces = 0;
    while (conn_pending(conn) == 0) {
        struct iovec iov = {text, BYTES};
        assert_int_equal(conn_writev(conn, &iov, 1), 0);
        pieces++;
    }
    assert_int_equal(h1_move(conn, w->to.mailbox.write_fd), -EAGAIN);
    while (conn_pending(conn) > 0) {
        assert_true(recv(w->client, w->reply, sizeof(w->reply), 0) > 0);
        assert_int_equal(conn_flush(conn), 0);
    }
    assert_int_equal(h1_move(conn, w->to.mailbox.write_fd), 0);
    loop_unlock(&w->from.loop);
    assert_true(pieces > 0);
    test_free(text);
}

static void
test_a_peer_that_is_gone(void **state)
{
    struct world *w = *state;
    client_sends(w, "GET / HTTP/1.1\r\nHo");
    turn(&w->from);
    move(w);
    shutdown(w->client, SHUT_RDWR);
    for (int i = 0; i < 3; i++) {
        turn(&w->to);
    }
    assert_int_equal(w->to.server.n_conns, 0);
}

/* --- what the receiver makes of it --- */

static void
test_a_listener_that_the_receiver_does_not_have(void **state)
{
    struct world *w = *state;
    w->to.server.listeners[1].id = 9;
    client_sends(w, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_false(client_reads(w));
    assert_null(strstr(w->reply, "Connection: close"));
    move(w);
    client_sends(w, "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(client_reads(w));
    assert_non_null(strstr(w->reply, "Connection: close"));
}

/* A real connection, through a listener whose number is another there. */
static void
test_the_local_address_finds_the_listener(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(w->listeners); i++) {
        struct sockaddr_in address;
        socklen_t size = sizeof(address);
        assert_int_equal(getsockname(w->listeners[i], (struct sockaddr *)&address, &size), 0);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        int client = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(client, (struct sockaddr *)&address, size), 0);
        int fd = accept4(w->listeners[i], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        loop_lock(&w->from.loop);
        w->from.server.listeners[i].id = 99;
        http_server_conn_opening(&w->from.server);
        struct h1_conn *h1 = h1_new(&w->from.server, (unsigned)i, fd, (struct sockaddr *)&address);
        conn_timeout_start(&h1->conn, TIMEOUT_HEAD);
        assert_int_equal(h1_move(&h1->conn, w->to.mailbox.write_fd), 0);
        loop_unlock(&w->from.loop);
        assert_int_equal(send(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27, 0), 27);
        turn(&w->to);
        turn(&w->to);
        assert_int_equal(w->to.calls, i + 1);
        assert_int_equal(w->to.listener, 1 - i);
        assert_string_equal(w->to.peer, "127.0.0.1");
        close(client);
    }
}

static void
test_the_limits_are_those_of_the_receiver(void **state)
{
    struct world *w = *state;
    h1_limits_set(&w->to.server.settings.limits, 20, 100, 8190);
    client_sends(w, "GET /a/long/one/here HTTP/1.1\r\nHost: h\r\n\r\n");
    half_turn(&w->from);
    move_request(w);
    shutdown(w->client, SHUT_WR);
    assert_true(client_reads(w));
    assert_non_null(strstr(w->reply, "HTTP/1.1 400 Bad Request"));
    assert_int_equal(w->to.calls, 0);
}

static void
test_a_full_receiver_makes_room(void **state)
{
    struct world *w = *state;
    int others[4];
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        others[i] = connect_to(&w->to);
    }
    move(w);
    half_turn(&w->to);
    assert_int_equal(w->to.server.n_conns, 4);
    assert_int_equal(atomic_load(&w->to.metrics.connections_evicted), 1);
    char byte;
    assert_int_equal(recv(others[0], &byte, 1, 0), 0);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        close(others[i]);
    }
}

static void
test_a_timeout_goes_on(void **state)
{
    struct world *w = *state;
    client_sends(w, "GET / HTTP/1.1\r\nHo");
    turn(&w->from);
    loop_lock(&w->from.loop);
    conn_timeout_start_since(only_conn(&w->from), TIMEOUT_HEAD,
                             w->from.loop.clock.mono_ns - 61 * NS_PER_SEC);
    loop_unlock(&w->from.loop);
    move(w);
    half_turn(&w->to);
    shutdown(w->client, SHUT_WR);
    assert_true(client_reads(w));
    assert_non_null(strstr(w->reply, "HTTP/1.1 408 Request Timeout"));
}

/* Those that came earlier expire earlier, in whichever order they come in. */
static void
test_timeouts_stay_in_order(void **state)
{
    struct world *w = *state;
    static const int64_t AGES_S[] = {3, 1, 5, 2, 4};
    struct timeout_queue queue;
    struct timeout timeouts[ARRAY_LEN(AGES_S)];
    (void)w;
    timeout_queue_init(&queue, 10 * NS_PER_SEC);
    for (size_t i = 0; i < ARRAY_LEN(AGES_S); i++) {
        timeout_init(&timeouts[i]);
        timeout_start_since(&queue, &timeouts[i], (100 - AGES_S[i]) * NS_PER_SEC);
        assert_int_equal(timeout_since(&queue, &timeouts[i]), (100 - AGES_S[i]) * NS_PER_SEC);
    }
    for (int64_t age = 5; age >= 1; age--) {
        struct timeout *oldest = timeout_oldest(&queue);
        assert_int_equal(oldest->deadline_ns, (110 - age) * NS_PER_SEC);
        timeout_stop(oldest);
    }
}

/* --- draining --- */

static void
drain(struct side *side, struct mailbox *heir)
{
    side->heir = heir;
    loop_lock(&side->loop);
    side->server.n_listeners = 0; /* nobody is in the kernel's queue */
    http_server_drain(&side->server);
    bool left = http_server_bequeath(&side->server);
    loop_turn_end(&side->loop);
    loop_unlock(&side->loop);
    assert_false(left);
}

static void
test_draining_gives_away_what_waits(void **state)
{
    struct world *w = *state;
    int second = connect_to(&w->from);
    client_sends(w, "GET / HTTP/1.1\r\nHo");
    turn(&w->from);
    drain(&w->from, &w->to.mailbox);
    assert_int_equal(w->from.server.n_conns, 0);
    assert_false(http_server_busy(&w->from.server, w->from.loop.clock.mono_ns));
    half_turn(&w->to);
    assert_int_equal(w->to.server.n_conns, 2);
    client_sends(w, "st: h\r\n\r\n");
    assert_false(client_reads(w));
    assert_int_equal(w->to.calls, 1);
    close(second);
}

/* Answered here, pipelined ones there, and nobody is told to close. */
static void
test_draining_finishes_and_gives_away(void **state)
{
    struct world *w = *state;
    client_sends(w, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n"
                    "GET /3 HTTP/1.1\r\nHo");
    half_turn(&w->from);
    drain(&w->from, &w->to.mailbox);
    assert_int_equal(w->from.server.n_conns, 1);
    assert_false(client_reads(w));
    assert_int_equal(w->from.calls, 1);
    assert_int_equal(w->to.calls, 1);
    client_sends(w, "st: h\r\n\r\n");
    assert_false(client_reads(w));
    assert_int_equal(w->to.calls, 2);
    const char *first = strstr(w->reply, "/1");
    const char *second = strstr(w->reply, "/2");
    assert_true(first && second && first < second && second < strstr(w->reply, "/3"));
    assert_null(strstr(w->reply, "Connection: close"));
}

/* Says nothing until the response is complete. */
static void
answer_briefly(void *context, struct request *request)
{
    struct side *side = context;
    struct response_head head = {SPAN("200 OK"), NULL, 0};
    size_t field;
    side->calls++;
    assert_int_equal(response_start(request, &head, &field), 0);
    response_finish(request);
    request_done(request);
}

/* The first response is kept back for the second, so that only giving the connection away shows
 * that nobody is there: nothing must go on with it. */
static void
test_draining_when_the_peer_is_gone(void **state)
{
    struct world *w = *state;
    w->from.executor.application.call = answer_briefly;
    client_sends(w, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    half_turn(&w->from);
    drain(&w->from, &w->to.mailbox);
    shutdown(w->client, SHUT_RDWR);
    w->from.executor.executor.ops->turn(&w->from.executor.executor);
    assert_int_equal(w->from.server.n_conns, 0);
    assert_int_equal(w->from.calls, 1);
    turn(&w->from);
    turn(&w->to);
    assert_int_equal(w->to.calls, 0);
}

static void
test_draining_waits_for_room(void **state)
{
    struct world *w = *state;
    fill(&w->to.mailbox);
    w->from.heir = &w->to.mailbox;
    loop_lock(&w->from.loop);
    w->from.server.n_listeners = 0;
    http_server_drain(&w->from.server);
    assert_true(http_server_bequeath(&w->from.server));
    loop_unlock(&w->from.loop);
    assert_int_equal(w->from.server.n_conns, 1);
    client_sends(w, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
    turn(&w->from);
    assert_int_equal(w->from.calls, 1);
    loop_lock(&w->to.loop);
    while (h1_adopt(&w->to.server)) {
    }
    loop_unlock(&w->to.loop);
    loop_lock(&w->from.loop);
    assert_false(http_server_bequeath(&w->from.server));
    loop_turn_end(&w->from.loop);
    loop_unlock(&w->from.loop);
    client_sends(w, "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_false(client_reads(w));
    assert_int_equal(w->to.calls, 1);
    assert_null(strstr(w->reply, "Connection: close"));
}

static void
test_without_heirs_the_connection_closes(void **state)
{
    struct world *w = *state;
    client_sends(w, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
    half_turn(&w->from);
    drain(&w->from, NULL);
    assert_true(client_reads(w));
    assert_non_null(strstr(w->reply, "Connection: close"));
}

/* --- while the application runs: the standby --- */

/* Takes its time: until the standby has taken over a connection and read its request. */
static void
slow_until_adopted(void *context, struct request *request)
{
    struct side *side = context;
    for (int ms = 0; atomic_load(&side->metrics.requests) < 2 && ms < 10000; ms++) {
        usleep(1000);
    }
    assert_int_equal(atomic_load(&side->metrics.connections_moved_in), 1);
    assert_int_equal(atomic_load(&side->metrics.requests), 2);
    side->executor.application.call = echo;
    echo(context, request);
}

static void
test_the_standby_takes_over_connections(void **state)
{
    struct world *w = *state;
    w->to.executor.application.call = slow_until_adopted;
    int busy = connect_to(&w->to);
    assert_int_equal(send(busy, "GET /busy HTTP/1.1\r\nHost: h\r\n\r\n", 31, 0), 31);
    half_turn(&w->to);
    client_sends(w, "GET /moved HTTP/1.1\r\nHost: h\r\n\r\n");
    move(w);
    turn(&w->to);
    assert_int_equal(w->to.calls, 2);
    assert_false(client_reads(w));
    assert_non_null(strstr(w->reply, "/moved"));
    close(busy);
}

/* The response to one client is still being sent when the server begins to drain; the application
 * is busy with another one until the standby has sent it, and given that connection away. */
static void
slow_until_given_away(void *context, struct request *request)
{
    enum { BYTES = 600 * 1024 };
    struct side *side = context;
    if (side->calls == 0) {
        char *body = test_calloc(1, BYTES);
        struct response_head head = {SPAN("200 OK"), NULL, 0};
        size_t field;
        side->calls++;
        assert_int_equal(response_start(request, &head, &field), 0);
        assert_int_equal(response_write(request, span_of(body, BYTES), true), 0);
        response_finish(request);
        request_done(request);
        test_free(body);
        return;
    }
    for (int ms = 0; atomic_load(&side->metrics.connections_moved_out) == 0 && ms < 10000; ms++) {
        usleep(1000);
    }
    assert_int_equal(atomic_load(&side->metrics.connections_moved_out), 1);
    echo(context, request);
}

static void *
read_all(void *argument)
{
    struct world *w = argument;
    size_t got = 0;
    for (int ms = 0; got < (size_t)600 * 1024 && ms < 10000; ms++) {
        char bytes[16384];
        ssize_t n = recv(w->client, bytes, sizeof(bytes), 0);
        got += (size_t)MAX_OF(n, 0);
        if (n <= 0) {
            usleep(1000);
        }
    }
    return NULL;
}

static void
test_the_standby_gives_connections_away(void **state)
{
    struct world *w = *state;
    pthread_t reader;
    w->from.executor.application.call = slow_until_given_away;
    client_sends(w, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
    turn(&w->from);
    int busy = connect_to(&w->from);
    assert_int_equal(send(busy, "GET /busy HTTP/1.1\r\nHost: h\r\n\r\n", 31, 0), 31);
    half_turn(&w->from);
    drain(&w->from, &w->to.mailbox);
    assert_int_equal(w->from.server.n_conns, 2);
    assert_int_equal(pthread_create(&reader, NULL, read_all, w), 0);
    turn(&w->from);
    pthread_join(reader, NULL);
    client_sends(w, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_false(client_reads(w));
    assert_non_null(strstr(w->reply, "/next"));
    assert_int_equal(w->to.calls, 1);
    close(busy);
}

/* --- messages that no worker writes --- */

static const struct h1_message GOOD = {
    .version = H1_MESSAGE_VERSION,
    .listener = 7,
    .head_bytes = 4,
    .kind = H1_MESSAGE_CONNECTION,
    .timeout_kind = TIMEOUT_HEAD,
    .peer_len = 3,
    .peer = "::1",
};

static int
decode(const struct h1_message *message, size_t payload, unsigned n_fds)
{
    char bytes[sizeof(*message) + 16] = {0};
    struct h1_message copy;
    memcpy(bytes, message, sizeof(*message));
    return h1_message_decode(bytes, sizeof(*message) + payload, n_fds, &copy);
}

static void
test_forged_messages_are_refused(void **state)
{
    struct h1_message message;
    struct h1_message copy;
    (void)state;
    assert_int_equal(decode(&GOOD, 4, 1), 0);
    assert_int_equal(decode(&GOOD, 3, 1), -EBADMSG);
    assert_int_equal(decode(&GOOD, 5, 1), -EBADMSG);
    assert_int_equal(decode(&GOOD, 4, 0), -EBADMSG);
    assert_int_equal(decode(&GOOD, 4, 2), -EBADMSG);
    assert_int_equal(h1_message_decode((const char *)&GOOD, sizeof(GOOD) - 1, 1, &copy), -EBADMSG);
#define REFUSED(field, value)                               \
    do {                                                    \
        message = GOOD;                                     \
        message.field = (value);                            \
        assert_int_equal(decode(&message, 4, 1), -EBADMSG); \
    } while (0)
    REFUSED(version, H1_MESSAGE_VERSION + 1);
    REFUSED(head_bytes, UINT32_MAX);
    REFUSED(body_bytes, 1);
    REFUSED(rest_bytes, UINT32_MAX - 3);
    REFUSED(peer_len, CONN_PEER_TEXT_MAX + 1);
    REFUSED(peer[1], '\n');
    REFUSED(peer[1], '\0');
    REFUSED(kind, 2);
    REFUSED(timeout_kind, TIMEOUT_WRITE);
    REFUSED(timeout_kind, 200);
    REFUSED(since_ns, -1);
    REFUSED(spooled_bytes, 1);
    REFUSED(spooled, true);
#undef REFUSED
    message = GOOD;
    memset(&message.served, 2, 1);
    assert_int_equal(decode(&message, 4, 1), -EBADMSG);
    message = GOOD;
    message.kind = H1_MESSAGE_REQUEST;
    assert_int_equal(decode(&message, 4, 1), 0);
    message.spooled = true;
    assert_int_equal(decode(&message, 4, 2), -EBADMSG);
    message.spooled_bytes = 1;
    assert_int_equal(decode(&message, 4, 2), 0);
    assert_int_equal(decode(&message, 4, 1), -EBADMSG);
}

/* A request whose head is none, or goes on: the connection ends, and nothing is left. */
static void
test_a_request_that_is_none(void **state)
{
    static const char *const HEADS[] = {"GET / HTTP/1.1\r\nHost: h\r\n", "nonsense\r\n\r\n"};
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(HEADS); i++) {
        int fds[2];
        struct h1_message message = GOOD;
        message.kind = H1_MESSAGE_REQUEST;
        message.head_bytes = (uint32_t)strlen(HEADS[i]);
        message.spooled = true;
        message.spooled_bytes = 5;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        struct iovec parts[] = {{&message, sizeof(message)}, {(char *)HEADS[i], strlen(HEADS[i])}};
        int sent[] = {fds[0], STDERR_FILENO};
        assert_int_equal(mailbox_send(w->to.mailbox.write_fd, parts, 2, sent, 2), 0);
        close(fds[0]);
        turn(&w->to);
        close(fds[1]);
        turn(&w->to);
        assert_int_equal(w->to.server.n_conns, 0);
    }
    assert_int_equal(w->to.calls, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_idle_connection_moves),
        TEST(test_half_a_head_moves),
        TEST(test_a_new_connection_moves),
        TEST(test_a_connection_moves_back),
        TEST(test_a_request_moves_with_what_follows),
        TEST(test_a_request_keeps_the_time_at_which_it_was_complete),
        TEST(test_a_decoded_body_moves),
        TEST(test_a_spooled_body_moves),
        TEST(test_a_running_request_stays),
        TEST(test_a_full_mailbox_changes_nothing),
        TEST(test_what_is_too_long_for_a_message_stays),
        TEST(test_with_folding_only_idle_connections_move),
        TEST(test_output_that_waits_keeps_the_connection),
        TEST(test_a_peer_that_is_gone),
        TEST(test_a_listener_that_the_receiver_does_not_have),
        TEST(test_the_local_address_finds_the_listener),
        TEST(test_the_limits_are_those_of_the_receiver),
        TEST(test_a_full_receiver_makes_room),
        TEST(test_a_timeout_goes_on),
        TEST(test_timeouts_stay_in_order),
        TEST(test_draining_gives_away_what_waits),
        TEST(test_draining_finishes_and_gives_away),
        TEST(test_draining_when_the_peer_is_gone),
        TEST(test_draining_waits_for_room),
        TEST(test_without_heirs_the_connection_closes),
        TEST(test_the_standby_takes_over_connections),
        TEST(test_the_standby_gives_connections_away),
        TEST(test_forged_messages_are_refused),
        TEST(test_a_request_that_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
