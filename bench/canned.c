/* SPDX-License-Identifier: MIT */
/*
 * The yardstick: what an epoll server on this machine has to spend per request, whatever it does.
 *
 * It sends the same reply to everything. Of a request it only finds the end: the blank line after
 * the head and, where the benchmark says so beforehand, a body of known size. Everything else is
 * known at start, so a turn is what the kernel asks for and no more: one epoll_wait for all that
 * are ready, one recv and one send for each. Requests that arrive together are answered together.
 *
 *     canned --port N [--body BYTES] [--file PATH] [--request-body BYTES] [--close]
 *
 * --body is the size of the reply's body (13, "Hello, world!", unless told), --file sends a file
 * with sendfile(2) instead, --request-body is the size of the body that follows each request head,
 * and --close closes the connection after each reply. Prints its address when ready.
 * Linux only: cc -D_GNU_SOURCE -O2 canned.c
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 256,
    READ_BYTES = 64 * 1024,
    TAPE_REPLIES = 64, /* replies that one send can carry */
    BACKLOG = 4096,
};

struct conn {
    unsigned newlines; /* of the blank line that ends a head: 0, 1; at 2 the head is over */
    size_t body_left;  /* bytes of the request's body still to come */
    size_t owed;       /* replies not yet sent in full */
    size_t sent;       /* bytes sent of the first of them */
    bool blocked;      /* waits for EPOLLOUT, not for EPOLLIN */
};

struct server {
    int epoll_fd;
    int listen_fd;
    struct conn *conns; /* indexed by fd */
    size_t n_conns;
    char *tape;        /* the reply, TAPE_REPLIES times; with a file, the reply's head once */
    size_t tape_reply; /* bytes of one reply on the tape */
    size_t reply;      /* bytes of one reply in all */
    size_t request_body;
    int file_fd; /* -1: the body is on the tape */
    bool close_after;
};

static void
die(const char *what)
{
    fprintf(stderr, "canned: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Number of requests that end in these bytes. Lines may end in CR LF or in LF. */
static size_t
count_requests(const struct server *server, struct conn *conn, const char *at, size_t len)
{
    size_t n = 0;
    const char *end = at + len;

    while (at < end) {
        if (conn->body_left > 0) {
            size_t left = (size_t)(end - at);
            size_t take = conn->body_left < left ? conn->body_left : left;

            at += take;
            conn->body_left -= take;
            n += conn->body_left == 0;
            continue;
        }
        /* Between two line feeds of a blank line stands a carriage return or nothing. */
        if (conn->newlines == 0) {
            at = memchr(at, '\n', (size_t)(end - at));
            if (at == NULL) {
                break;
            }
            at++;
            conn->newlines = 1;
            continue;
        }
        if (*at == '\n') {
            conn->newlines = 0;
            conn->body_left = server->request_body;
            n += conn->body_left == 0;
        } else if (*at != '\r') {
            conn->newlines = 0;
        }
        at++;
    }
    return n;
}

/* Sends what one call can of the replies owed. Returns bytes or -1 as send(2) does. */
static ssize_t
send_some(struct server *server, int fd, const struct conn *conn)
{
    if (server->file_fd >= 0 && conn->sent >= server->tape_reply) {
        off_t offset = (off_t)(conn->sent - server->tape_reply);

        return sendfile(fd, server->file_fd, &offset, server->reply - conn->sent);
    }
    if (server->file_fd >= 0) {
        return send(fd, server->tape + conn->sent, server->tape_reply - conn->sent,
                    MSG_NOSIGNAL | MSG_MORE);
    }
    size_t replies = conn->owed < TAPE_REPLIES ? conn->owed : TAPE_REPLIES;

    return send(fd, server->tape + conn->sent, replies * server->reply - conn->sent, MSG_NOSIGNAL);
}

static void
conn_watch(struct server *server, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};

    if (epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0) {
        die("epoll_ctl");
    }
}

/* Returns false if the connection is to be closed. */
static bool
conn_flush(struct server *server, int fd, struct conn *conn)
{
    while (conn->owed > 0) {
        ssize_t n = send_some(server, fd, conn);

        if (n < 0 && errno == EAGAIN) {
            if (!conn->blocked) {
                conn->blocked = true;
                conn_watch(server, fd, EPOLLOUT);
            }
            return true;
        }
        if (n <= 0) {
            return false;
        }
        conn->sent += (size_t)n;
        conn->owed -= conn->sent / server->reply;
        conn->sent %= server->reply;
    }
    if (conn->blocked) {
        conn->blocked = false;
        conn_watch(server, fd, EPOLLIN);
    }
    return !server->close_after;
}

static void
conn_turn(struct server *server, int fd)
{
    static char buf[READ_BYTES];
    struct conn *conn = &server->conns[fd];

    if (!conn->blocked) {
        ssize_t n = recv(fd, buf, sizeof(buf), 0);

        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n <= 0) {
            close(fd);
            return;
        }
        conn->owed += count_requests(server, conn, buf, (size_t)n);
        if (conn->owed == 0) {
            return;
        }
    }
    if (!conn_flush(server, fd, conn)) {
        close(fd);
    }
}

static void
accept_all(struct server *server)
{
    const int on = 1;

    for (;;) {
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

        if (fd < 0) {
            return;
        }
        if ((size_t)fd >= server->n_conns) {
            close(fd);
            continue;
        }
        server->conns[fd] = (struct conn){0};
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
            die("epoll_ctl");
        }
    }
}

static void
serve(struct server *server)
{
    struct epoll_event events[EVENTS_MAX];

    for (;;) {
        int n = epoll_wait(server->epoll_fd, events, EVENTS_MAX, -1);

        if (n < 0 && errno != EINTR) {
            die("epoll_wait");
        }
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;

            if (fd == server->listen_fd) {
                accept_all(server);
            } else {
                conn_turn(server, fd);
            }
        }
    }
}

/* The head that Saola sends before the application's "Hello, world!", with a Date that stands. */
static void
write_tape(struct server *server, size_t body)
{
    char head[256];
    int head_len = snprintf(head, sizeof(head),
                            "HTTP/1.1 200 OK\r\n"
                            "Server: saola\r\n"
                            "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                            "Connection: %s\r\n"
                            "Content-Type: text/plain\r\n"
                            "Content-Length: %zu\r\n"
                            "\r\n",
                            server->close_after ? "close" : "keep-alive", body);
    size_t on_tape = server->file_fd < 0 ? body : 0;
    size_t copies = server->file_fd < 0 ? TAPE_REPLIES : 1;

    server->tape_reply = (size_t)head_len + on_tape;
    server->reply = (size_t)head_len + body;
    server->tape = malloc(copies * server->tape_reply);
    if (server->tape == NULL) {
        die("malloc");
    }
    memcpy(server->tape, head, (size_t)head_len);
    for (size_t i = 0; i < on_tape; i++) {
        server->tape[(size_t)head_len + i] = "Hello, world!"[i % 13];
    }
    for (size_t i = 1; i < copies; i++) {
        memcpy(server->tape + i * server->tape_reply, server->tape, server->tape_reply);
    }
}

static void
listen_on(struct server *server, uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event event = {.events = EPOLLIN};
    const int on = 1;

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (server->listen_fd < 0) {
        die("socket");
    }
    (void)setsockopt(server->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(server->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        die("bind");
    }
    if (listen(server->listen_fd, BACKLOG) < 0) {
        die("listen");
    }
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    event.data.fd = server->listen_fd;
    if (server->epoll_fd < 0 ||
        epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, server->listen_fd, &event) < 0) {
        die("epoll");
    }
}

static void
open_file(struct server *server, const char *path, size_t *ret_body)
{
    struct stat st;

    server->file_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (server->file_fd < 0 || fstat(server->file_fd, &st) < 0) {
        die(path);
    }
    *ret_body = (size_t)st.st_size;
}

static void
make_conns(struct server *server)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        die("getrlimit");
    }
    server->n_conns = limit.rlim_cur;
    server->conns = calloc(server->n_conns, sizeof(*server->conns));
    if (server->conns == NULL) {
        die("calloc");
    }
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},         {"body", required_argument, NULL, 'b'},
        {"file", required_argument, NULL, 'f'},         {"close", no_argument, NULL, 'c'},
        {"request-body", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0},
    };
    struct server server = {.file_fd = -1};
    size_t body = strlen("Hello, world!");
    uint16_t port = 0;
    int option;

    signal(SIGPIPE, SIG_IGN); /* sendfile(2) has no MSG_NOSIGNAL */
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'p':
            port = (uint16_t)strtoul(optarg, NULL, 10);
            break;
        case 'b':
            body = strtoul(optarg, NULL, 10);
            break;
        case 'f':
            open_file(&server, optarg, &body);
            break;
        case 'r':
            server.request_body = strtoul(optarg, NULL, 10);
            break;
        case 'c':
            server.close_after = true;
            break;
        default:
            fprintf(stderr, "usage: canned --port N [--body BYTES] [--file PATH] "
                            "[--request-body BYTES] [--close]\n");
            return 2;
        }
    }
    make_conns(&server);
    write_tape(&server, body);
    listen_on(&server, port);
    printf("canned: http://127.0.0.1:%u\n", (unsigned)port);
    fflush(stdout);
    serve(&server);
}
