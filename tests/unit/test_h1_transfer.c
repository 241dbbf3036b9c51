/* SPDX-License-Identifier: MIT */
/* Connections that move from one server to another, through a mailbox. */
#include "http/h1_transfer.h"

#include "app/inline.h"
#include "base/mem.h"
#include "http/h1.h"
#include "http/h1_message.h"
#include "http/request.h"
#include "log/metrics.h"
#include "net/mailbox.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
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

static int
open_fds(void)
{
    int n = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL) { // NOLINT(concurrency-mt-unsafe)
        n++;
    }
    closedir(directory);
    return n;
}

static void
submit(void *context, struct request *request)
{
    struct executor *executor = context;
    executor->ops->submit(executor, request);
}

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
    assert_int_equal(loop_init(&side->loop), 0);
    struct http_settings settings = {
        .server_token = SPAN("saola"),
        .spool_max_bytes = 1 << 20,
        .keepalive_ns = 2 * NS_PER_SEC,
        .max_connections = 4,
        .accept_batch = 1,
    };
    h1_limits_set(&settings.limits, 4094, 100, 8190);
    h1_policy_prepare(&settings.policy);
    struct http_handler handler = {&side->executor.executor, submit, NULL};
    assert_int_equal(
        http_server_init(&side->server, &side->loop, &settings, &handler, &side->metrics), 0);
    side->server.heirs = (struct http_heirs){side, any_heir, pass_to_heir};
    inline_executor_init(&side->executor, &side->server, &(struct application){echo, side});
    assert_int_equal(side->executor.executor.ops->start(&side->executor.executor), 0);
    assert_int_equal(h1_adopt_from(&side->server, side->mailbox.read_fd), 0);
}

static void
close_side(struct side *side)
{
    side->executor.executor.ops->stop(&side->executor.executor);
    loop_lock(&side->loop);
    http_server_fini(&side->server);
    loop_unlock(&side->loop);
    assert_int_equal(side->loop.blocks.used_bytes, 0);
    assert_int_equal(atomic_load(&side->metrics.open_connections), 0);
    loop_fini(&side->loop);
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
    assert_true(loop_wait(&side->loop, 0) >= 0);
    loop_lock(&side->loop);
    loop_turn(&side->loop);
    loop_unlock(&side->loop);
}

static void
turn(struct side *side)
{
    half_turn(side);
    side->executor.executor.ops->turn(&side->executor.executor);
    loop_lock(&side->loop);
    loop_turn_end(&side->loop);
    loop_unlock(&side->loop);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_idle_connection_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
