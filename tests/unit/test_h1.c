/* SPDX-License-Identifier: MIT */
/* HTTP/1 over a socketpair: the engine from accepted socket to response, without Python. */
#include "base/mem.h"
#include "http/access_log.h"
#include "http/h1.h"
#include "http/request.h"

#include "engine.h"

#include <errno.h>
#include <fcntl.h>
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

struct world {
    struct loop loop;
    struct http_server server;
    struct inline_executor executor;
    struct metrics metrics;
    int client;
    int calls;
    int64_t slept_ns;    /* when takes_long() had slept */
    char reply[1 << 20]; /* everything that the server has sent, NUL-terminated */
    size_t reply_len;
};

static void
turn(struct world *w)
{
    engine_turn(&w->executor);
}

static void
start(struct request *request, const char *status, const struct response_field *fields, size_t n)
{
    struct response_head head = {span_str(status), fields, n};
    size_t field;
    assert_int_equal(response_start(request, &head, &field), 0);
}

/* Answers with "METHOD TARGET BODY", chunked. */
static void
echo(void *context, struct request *request)
{
    struct world *w = context;
    char body[4096];
    w->calls++;
    start(request, "200 OK", NULL, 0);
    struct span method = h1_part_span(request->base, request->head.method);
    struct span target = h1_part_span(request->base, request->head.target);
    assert_true(response_write(request, method, false) >= 0);
    assert_true(response_write(request, SPAN(" "), false) >= 0);
    assert_true(response_write(request, target, false) >= 0);
    ssize_t got;
    while ((got = request_body_read(request, body, sizeof(body))) > 0) {
        assert_true(response_write(request, span_of(body, (size_t)got), false) >= 0);
    }
    assert_int_equal(got, 0);
    response_finish(request);
    request_done(request);
}

/* One body in one write, as most applications do. */
static void
hello(void *context, struct request *request)
{
    struct world *w = context;
    w->calls++;
    start(request, "200 OK", NULL, 0);
    int rc = response_write(request, SPAN("hello"), true);
    (void)rc;
    response_finish(request);
    request_done(request);
}

static void
open_world(struct world *w, void (*call)(void *context, struct request *request))
{
    int fds[2];
    memset(w, 0, sizeof(*w));
    engine_open(&w->loop, &w->server, &w->executor, &w->metrics, &(struct application){call, w});
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    w->client = fds[1];
    w->server.n_conns++;
    loop_lock(&w->loop);
    h1_open(&w->server, 0, fds[0], &(struct sockaddr){.sa_family = AF_UNIX});
    loop_unlock(&w->loop);
}

static void
close_world(struct world *w)
{
    engine_close(&w->executor);
    close(w->client);
}

/* A test whose state is a world with one connection, served by that function. */
#define SERVED_BY(call, test) \
    cmocka_unit_test_prestate_setup_teardown(test, set_up, tear_down, &(struct service){call})

struct service {
    void (*call)(void *context, struct request *request);
};

static int
set_up(void **state)
{
    const struct service *service = *state;
    struct world *w = test_malloc(sizeof(*w));
    open_world(w, service->call);
    *state = w;
    return 0;
}

static int
tear_down(void **state)
{
    close_world(*state);
    test_free(*state);
    return 0;
}

static void
client_sends(struct world *w, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(w->client, bytes, n, MSG_NOSIGNAL);
        if (sent < 0) {
            assert_int_equal(errno, EAGAIN);
            turn(w);
            continue;
        }
        bytes += sent;
        n -= (size_t)sent;
    }
    turn(w);
}

/* Reads what is there; true if the server has closed the connection. */
static bool
client_reads(struct world *w)
{
    for (int idle = 0; idle < 3;) {
        ssize_t got =
            recv(w->client, w->reply + w->reply_len, sizeof(w->reply) - 1 - w->reply_len, 0);
        if (got == 0) {
            return true;
        }
        if (got > 0) {
            w->reply_len += (size_t)got;
            w->reply[w->reply_len] = '\0';
        } else {
            idle++;
        }
        turn(w);
    }
    return false;
}

static int
count(const char *text, const char *what)
{
    int n = 0;
    while ((text = strstr(text, what)) != NULL) {
        n++;
        text += strlen(what);
    }
    return n;
}

/* strstr() under ASan measures the rest of the text each time: too slow for single bytes. */
static size_t
count_byte(const struct world *w, char byte)
{
    size_t n = 0;
    for (size_t i = 0; i < w->reply_len; i++) {
        n += w->reply[i] == byte;
    }
    return n;
}

#define SEND(w, text) client_sends(w, text, sizeof(text) - 1)

static void
test_keep_alive(void **state)
{
    struct world *w = *state;
    for (int i = 1; i <= 3; i++) {
        SEND(w, "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_false(client_reads(w));
        assert_int_equal(count(w->reply, "HTTP/1.1 200 OK\r\n"), i);
        assert_int_equal(w->calls, i);
    }
    assert_int_equal(count(w->reply, "Connection: keep-alive\r\n"), 3);
    assert_int_equal(count(w->reply, "4\r\n/a?b\r\n0\r\n\r\n"), 3);
}

static void
test_connection_close(void **state)
{
    struct world *w = *state;
    SEND(w, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_true(client_reads(w));
    assert_non_null(strstr(w->reply, "Connection: close\r\n"));
    assert_int_equal(w->server.n_conns, 0);
}

static void
test_byte_by_byte(void **state)
{
    static const char REQUEST[] = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde";
    struct world *w = *state;
    for (size_t i = 0; i < sizeof(REQUEST) - 1; i++) {
        assert_int_equal(w->calls, 0);
        client_sends(w, REQUEST + i, 1);
    }
    assert_false(client_reads(w));
    assert_int_equal(w->calls, 1);
    assert_non_null(strstr(w->reply, "5\r\nabcde\r\n0\r\n\r\n"));
}

/* Responses to requests that came together leave together. */
static void
test_pipelined_responses_are_joined(void **state)
{
    struct world *w = *state;
    SEND(w, "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"
            "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHo");
    assert_int_equal(w->calls, 3);
    ssize_t got = recv(w->client, w->reply, sizeof(w->reply) - 1, 0);
    assert_true(got > 0);
    w->reply[got] = '\0';
    assert_int_equal(count(w->reply, "HTTP/1.1 200 OK\r\n"), 3);
    SEND(w, "st: h\r\n\r\n");
    assert_int_equal(w->calls, 4);
}

/* A body that comes with its head, one that outgrows memory, and the next request right behind. */
static void
test_bodies_are_complete(void **state)
{
    static const size_t SIZES[] = {1, 1000, HTTP_BODY_MEMORY_BYTES, HTTP_BODY_MEMORY_BYTES + 1,
                                   300000};
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(SIZES); i++) {
        size_t n = SIZES[i];
        char *request = test_malloc(n + 256);
        int head =
            snprintf(request, 256, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", n);
        memset(request + head, 'z', n);
        static const char NEXT[] = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
        memcpy(request + head + n, NEXT, sizeof(NEXT));
        w->reply_len = 0;
        client_sends(w, request, (size_t)head + n + sizeof(NEXT) - 1);
        assert_false(client_reads(w));
        assert_int_equal(count(w->reply, "HTTP/1.1 200 OK\r\n"), 2);
        assert_int_equal(count_byte(w, 'z'), n);
        assert_non_null(strstr(w->reply, "/next"));
        test_free(request);
    }
}

static void
test_chunked_body_and_expect(void **state)
{
    struct world *w = *state;
    SEND(w, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
            "Expect: 100-continue\r\n\r\n");
    assert_false(client_reads(w));
    assert_string_equal(w->reply, "HTTP/1.1 100 Continue\r\n\r\n");
    SEND(w, "3\r\nabc\r\n");
    assert_int_equal(w->calls, 0);
    SEND(w, "2;x=y\r\nde\r\n0\r\nX-T: t\r\n\r\nGET /n HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_false(client_reads(w));
    assert_int_equal(w->calls, 2);
    assert_non_null(strstr(w->reply, "5\r\nabcde\r\n"));
}

static void
test_bad_request_is_refused_and_lingers(void **state)
{
    struct world *w = *state;
    SEND(w, "GET / HTTP/1.1\r\n\r\n");
    assert_true(client_reads(w));
    assert_non_null(strstr(w->reply, "HTTP/1.1 400 Bad Request\r\n"));
    assert_int_equal(w->calls, 0);
    assert_int_equal(w->server.n_conns, 1); /* lingering: the client has not closed */
}

/* A reader that takes nothing: what it does not take waits in memory, then in a file. */
static void
big(void *context, struct request *request)
{
    struct world *w = context;
    static char chunk[65536];
    int rc = 0;
    memset(chunk, 'B', sizeof(chunk));
    w->calls++;
    start(request, "200 OK", NULL, 0);
    for (int i = 0; i < 14 && rc == 0; i++) {
        rc = response_write(request, span_of(chunk, sizeof(chunk)), false);
    }
    assert_int_equal(rc, 0);
    response_finish(request);
    request_done(request);
}

static void
test_slow_reader_gets_everything(void **state)
{
    struct world *w = *state;
    SEND(w, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(w->calls, 1);
    assert_true(w->loop.blocks.used_bytes <= (size_t)2 * CONN_OUT_MEMORY_MAX);
    assert_false(client_reads(w));
    assert_int_equal(count_byte(w, 'B'), (size_t)14 * 65536);
    SEND(w, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    w->reply_len = 0;
    assert_true(client_reads(w));
    assert_int_equal(count_byte(w, 'B'), (size_t)14 * 65536);
}

/* The peer goes away while the application has its request. */
static void
lost(void *context, struct request *request)
{
    struct world *w = context;
    w->calls++;
    close(w->client);
    w->client = -1;
    start(request, "200 OK", NULL, 0);
    int rc;
    do {
        rc = response_write(request, SPAN("into the void"), false);
    } while (rc == 0);
    assert_true(rc < 0);
    response_finish(request);
    request_done(request);
}

static void
test_peer_gone_during_request(void **state)
{
    struct world *w = *state;
    SEND(w, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(w->calls, 1);
    assert_int_equal(w->server.n_conns, 0);
}

static void
faulty(void *context, struct request *request)
{
    struct world *w = context;
    static const struct {
        const char *status;
        struct response_field field;
        int fault;
    } CASES[] = {
        {"200 OK\r\nX: y", {SPAN("A"), SPAN("b")}, RESPONSE_BAD_STATUS},
        {"OK", {SPAN("A"), SPAN("b")}, RESPONSE_BAD_STATUS},
        {"200 OK", {SPAN("A b"), SPAN("b")}, RESPONSE_BAD_NAME},
        {"200 OK", {SPAN(""), SPAN("b")}, RESPONSE_BAD_NAME},
        {"200 OK", {SPAN("A"), SPAN("b\r\nC: d")}, RESPONSE_BAD_VALUE},
        {"200 OK", {SPAN("A"), SPAN("b\0")}, RESPONSE_BAD_VALUE},
        {"200 OK", {SPAN("Content-Length"), SPAN("-1")}, RESPONSE_BAD_LENGTH},
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct response_head head = {span_str(CASES[i].status), &CASES[i].field, 1};
        size_t field = 99;
        assert_int_equal(response_start(request, &head, &field), -CASES[i].fault);
        assert_int_equal(field, CASES[i].fault == RESPONSE_BAD_STATUS ? 99 : 0);
    }
    w->calls++;
    response_fail(request, 500, SPAN("a <b> & c"));
    request_done(request);
}

static void
test_faulty_heads_are_refused(void **state)
{
    struct world *w = *state;
    SEND(w, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(client_reads(w));
    assert_int_equal(w->calls, 1);
    assert_non_null(strstr(w->reply, "HTTP/1.1 500 Internal Server Error\r\n"));
    assert_non_null(strstr(w->reply, "a &lt;b&gt; &amp; c"));
    assert_int_equal(count(w->reply, "HTTP/1.1 "), 1);
}

/* Longer than the standby's patience: another request is read meanwhile. */
static void
slow_call(void *context, struct request *request)
{
    struct world *w = context;
    w->calls++;
    for (int ms = 0; atomic_load(&w->metrics.parse_errors) == 0 && ms < 10000; ms++) {
        usleep(1000);
    }
    assert_int_equal(atomic_load(&w->metrics.parse_errors), 1);
    start(request, "200 OK", NULL, 0);
    response_finish(request);
    request_done(request);
}

static void
test_standby_drives_while_the_application_runs(void **state)
{
    int fds[2];
    struct world *w = *state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    w->server.n_conns++;
    loop_lock(&w->loop);
    h1_open(&w->server, 0, fds[0], &(struct sockaddr){.sa_family = AF_UNIX});
    loop_unlock(&w->loop);
    assert_int_equal(send(w->client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27, 0), 27);
    int n = loop_wait(&w->loop, 1000);
    assert_int_equal(n, 1);
    loop_lock(&w->loop);
    loop_turn(&w->loop);
    loop_unlock(&w->loop);
    assert_int_equal(send(fds[1], "nonsense\r\n\r\n", 12, 0), 12);
    w->executor.executor.ops->turn(&w->executor.executor);
    char answer[64];
    assert_true(recv(fds[1], answer, sizeof(answer), 0) > 0);
    assert_memory_equal(answer, "HTTP/1.1 400", 12);
    assert_int_equal(w->calls, 1);
    close(fds[1]);
}

/* The last chunk comes when all but a little of the file has gone: it must not overtake the rest.
 */
static void
nearly_drained(void *context, struct request *request)
{
    struct world *w = context;
    size_t n = (size_t)600 * 1024;
    char *chunk = test_malloc(n);
    memset(chunk, 'B', n);
    w->calls++;
    start(request, "200 OK", NULL, 0);
    if (w->calls == 1) {
        assert_int_equal(response_write(request, span_of(chunk, n), false), 0);
    }
    loop_lock(&w->loop); /* the standby may come in */
    while (w->calls == 1 && conn_pending(request->conn) > 50000) {
        ssize_t got = recv(w->client, w->reply + w->reply_len, 16384, 0);
        w->reply_len += (size_t)MAX_OF(got, 0);
        assert_int_equal(conn_flush(request->conn), 0);
    }
    loop_unlock(&w->loop);
    assert_int_equal(response_write(request, SPAN("last"), true), 0);
    response_finish(request);
    request_done(request);
    test_free(chunk);
}

static void
test_the_last_chunk_does_not_overtake_the_spool(void **state)
{
    struct world *w = *state;
    SEND(w, "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_false(client_reads(w));
    assert_int_equal(w->calls, 2);
    assert_int_equal(count_byte(w, 'B'), 600 * 1024);
    const char *last = strstr(w->reply, "4\r\nlast\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n");
    assert_non_null(last);
    assert_null(memchr(last, 'B', strlen(last)));
}

/* A large body is not copied only because another request waits behind it. */
static void
large(void *context, struct request *request)
{
    struct world *w = context;
    size_t n = (size_t)900 * 1024;
    char *body = test_malloc(n);
    memset(body, 'B', n);
    w->calls++;
    start(request, "200 OK", NULL, 0);
    assert_int_equal(response_write(request, span_of(body, n), true), 0);
    loop_lock(&w->loop); /* the standby may be at work */
    assert_true(w->loop.blocks.used_bytes <= 2 * CONN_OUT_MEMORY_MAX);
    loop_unlock(&w->loop);
    response_finish(request);
    request_done(request);
    test_free(body);
}

static void
test_large_bodies_are_not_joined(void **state)
{
    struct world *w = *state;
    SEND(w, "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET");
    assert_int_equal(w->calls, 1);
    assert_false(client_reads(w));
    assert_int_equal(count_byte(w, 'B'), 900 * 1024);
}

static void
test_requests_that_were_never_run_are_given_back(void **state)
{
    (void)state;
    struct world *w = test_malloc(sizeof(*w));
    open_world(w, hello);
    assert_int_equal(send(w->client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27, 0), 27);
    assert_int_equal(loop_wait(&w->loop, 1000), 1);
    loop_lock(&w->loop);
    loop_turn(&w->loop);
    loop_unlock(&w->loop);
    close_world(w);
    assert_int_equal(w->calls, 0);
    test_free(w);
}

/* What Python frees after a request can take long too: the standby must not look at a request that
 * is over. A sanitizer tells. */
static void
slow_after_done(void *context, struct request *request)
{
    struct world *w = context;
    hello(w, request);
    for (int ms = 0; atomic_load(&w->metrics.parse_errors) == 0 && ms < 10000; ms++) {
        usleep(1000);
    }
}

static void
test_standby_takes_over_after_the_request_is_done(void **state)
{
    int fds[2];
    struct world *w = *state;
    w->server.request_pool.keep = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    w->server.n_conns++;
    loop_lock(&w->loop);
    h1_open(&w->server, 0, fds[0], &(struct sockaddr){.sa_family = AF_UNIX});
    loop_unlock(&w->loop);
    assert_int_equal(send(w->client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27, 0), 27);
    assert_int_equal(loop_wait(&w->loop, 1000), 1);
    loop_lock(&w->loop);
    loop_turn(&w->loop);
    loop_unlock(&w->loop);
    assert_int_equal(send(fds[1], "nonsense\r\n\r\n", 12, 0), 12);
    w->executor.executor.ops->turn(&w->executor.executor);
    assert_int_equal(w->calls, 1);
    assert_int_equal(atomic_load(&w->metrics.parse_errors), 1);
    close(fds[1]);
}

/* --- through a listener --- */

struct listening {
    int fd;
    struct sockaddr_in address;
};

static void
open_listener(struct listening *l)
{
    socklen_t size = sizeof(l->address);
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    l->address = (struct sockaddr_in){.sin_family = AF_INET};
    l->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(l->fd, (struct sockaddr *)&l->address, size), 0);
    assert_int_equal(listen(l->fd, 16), 0);
    assert_int_equal(getsockname(l->fd, (struct sockaddr *)&l->address, &size), 0);
}

static void
listen_in(struct world *w, const struct listening *l)
{
    loop_lock(&w->loop);
    http_server_listen(&w->server, &l->fd, NULL, 1);
    http_server_accept(&w->server, true);
    loop_unlock(&w->loop);
}

static int
connect_to(const struct listening *l)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&l->address, sizeof(l->address)), 0);
    return fd;
}

/* Waits and reads, but runs no request. */
static void
half_turn(struct world *w)
{
    assert_true(loop_wait(&w->loop, 1000) >= 0);
    loop_lock(&w->loop);
    loop_turn(&w->loop);
    loop_unlock(&w->loop);
}

/* TERM between the wait and the turn: the descriptor of the listener may be something else by then.
 */
static void
test_an_event_of_a_listener_that_was_closed_is_stale(void **state)
{
    struct listening ours;
    struct listening other;
    struct world *w = *state;
    open_listener(&ours);
    open_listener(&other);
    listen_in(w, &ours);
    int first = connect_to(&ours);
    int second = connect_to(&other);
    assert_int_equal(loop_wait(&w->loop, 1000), 1);
    loop_lock(&w->loop);
    http_server_drain(&w->server);
    loop_unlock(&w->loop);
    assert_int_equal(w->server.n_conns, 2);
    assert_int_equal(dup2(other.fd, ours.fd), ours.fd);
    loop_lock(&w->loop);
    loop_turn(&w->loop);
    loop_unlock(&w->loop);
    assert_int_equal(w->server.n_conns, 2);
    close(first);
    close(second);
    close(ours.fd);
    close(other.fd);
}

/* All were being served, so the listener was taken out; now all wait for the rest of a head. */
static void
test_accepts_again_when_half_a_request_follows(void **state)
{
    struct listening l;
    int clients[3];
    struct world *w = *state;
    open_listener(&l);
    listen_in(w, &l);
    static const char TEXT[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\nG";
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        clients[i] = connect_to(&l);
        assert_true(send(clients[i], TEXT, sizeof(TEXT) - 1, 0) > 0);
    }
    assert_true(send(w->client, TEXT, sizeof(TEXT) - 1, 0) > 0);
    while (atomic_load(&w->metrics.requests) < 4) {
        half_turn(w);
    }
    int late = connect_to(&l);
    while (w->server.accepting) {
        half_turn(w);
    }
    assert_int_equal(w->server.n_conns, 4);
    w->executor.executor.ops->turn(&w->executor.executor);
    assert_int_equal(w->calls, 4);
    assert_true(w->server.accepting);
    assert_true(send(late, TEXT, sizeof(TEXT) - 2, 0) > 0);
    for (int i = 0; i < 1000 && w->calls < 5; i++) {
        turn(w);
    }
    assert_int_equal(w->calls, 5);
    close(late);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        close(clients[i]);
    }
    close(l.fd);
}

/* Takes longer than a turn should. */
static void
takes_long(void *context, struct request *request)
{
    struct world *w = context;
    usleep(700 * 1000);
    w->slept_ns = clock_mono_ns();
    hello(w, request);
}

static void
test_keepalive_begins_when_the_response_ends(void **state)
{
    struct world *w = *state;
    SEND(w, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(w->calls, 1);
    const struct timeout_queue *idle = &w->loop.timeouts[TIMEOUT_KEEPALIVE];
    const struct timeout *oldest = timeout_oldest(idle);
    assert_non_null(oldest);
    assert_true(timeout_since(idle, oldest) >= w->slept_ns);
}

/* Under load the ready queue is never empty; the worker has to come back to its loop all the same.
 */
static void
test_a_turn_ends_though_more_is_ready(void **state)
{
    (void)state;
    static const char TEXT[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    struct listening l;
    struct world *w = test_malloc(sizeof(*w));
    struct executor *executor = &w->executor.executor;
    open_world(w, takes_long);
    open_listener(&l);
    listen_in(w, &l);
    int other = connect_to(&l);
    assert_true(send(w->client, TEXT, sizeof(TEXT) - 1, 0) > 0);
    assert_true(send(other, TEXT, sizeof(TEXT) - 1, 0) > 0);
    while (atomic_load(&w->metrics.requests) < 2) {
        half_turn(w);
    }
    assert_true(executor->ops->turn(executor));
    assert_int_equal(w->calls, 1);
    assert_false(executor->ops->turn(executor));
    assert_int_equal(w->calls, 2);
    close(other);
    close(l.fd);
    close_world(w);
    test_free(w);
}

/* An application that goes on writing is not a peer that goes on reading. */
static void
writes_for_ever(void *context, struct request *request)
{
    struct world *w = context;
    size_t n = (size_t)512 * 1024;
    char *chunk = mem_zalloc(n);
    int rc = 0;
    w->calls++;
    start(request, "200 OK", NULL, 0);
    for (int i = 0; rc == 0 && i < 500; i++) {
        rc = response_write(request, span_of(chunk, i == 0 ? n : 1), false);
        loop_wake(&w->loop); /* the loop's clock goes on */
        usleep(10 * 1000);
    }
    assert_int_equal(rc, -EPIPE);
    response_finish(request);
    request_done(request);
    free(chunk);
}

static void
test_a_peer_that_takes_nothing_is_given_up(void **state)
{
    struct world *w = *state;
    w->loop.timeouts[TIMEOUT_WRITE].duration_ns = 300 * NS_PER_MS;
    SEND(w, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(w->calls, 1);
    assert_int_equal(w->server.n_conns, 0);
}

/* The first response waits for the second, which is for another protocol to give. */
static void
takes_the_socket(void *context, struct request *request)
{
    struct world *w = context;
    if (w->calls == 0) {
        hello(w, request);
        return;
    }
    w->calls++;
    int fd = request_take_socket(request);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, "mine", 4, 0), 4);
    close(fd);
    response_abort(request);
    request_done(request);
}

static void
test_a_socket_is_taken_after_what_was_joined(void **state)
{
    struct world *w = *state;
    SEND(w, "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(w->calls, 2);
    assert_true(client_reads(w));
    assert_non_null(strstr(w->reply, "5\r\nhello\r\n0\r\n\r\nmine"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED_BY(echo, test_keep_alive),
        SERVED_BY(echo, test_connection_close),
        SERVED_BY(echo, test_byte_by_byte),
        SERVED_BY(hello, test_pipelined_responses_are_joined),
        SERVED_BY(echo, test_bodies_are_complete),
        SERVED_BY(echo, test_chunked_body_and_expect),
        SERVED_BY(echo, test_bad_request_is_refused_and_lingers),
        SERVED_BY(big, test_slow_reader_gets_everything),
        SERVED_BY(lost, test_peer_gone_during_request),
        SERVED_BY(faulty, test_faulty_heads_are_refused),
        SERVED_BY(slow_call, test_standby_drives_while_the_application_runs),
        SERVED_BY(nearly_drained, test_the_last_chunk_does_not_overtake_the_spool),
        SERVED_BY(large, test_large_bodies_are_not_joined),
        cmocka_unit_test(test_requests_that_were_never_run_are_given_back),
        SERVED_BY(slow_after_done, test_standby_takes_over_after_the_request_is_done),
        SERVED_BY(hello, test_an_event_of_a_listener_that_was_closed_is_stale),
        SERVED_BY(hello, test_accepts_again_when_half_a_request_follows),
        SERVED_BY(takes_long, test_keepalive_begins_when_the_response_ends),
        cmocka_unit_test(test_a_turn_ends_though_more_is_ready),
        SERVED_BY(writes_for_ever, test_a_peer_that_takes_nothing_is_given_up),
        SERVED_BY(takes_the_socket, test_a_socket_is_taken_after_what_was_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
