/* SPDX-License-Identifier: MIT */
#include "log/remote.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL };

/* --- opening --- */

static int
open_socket(struct remote *remote, int type)
{
    int fd = socket(remote->address.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? -errno : fd_above_stdio(fd);
}

/* What is common, once the address is known. */
static int
begin(struct remote *remote, int type)
{
    remote->either = type == 0;
    remote->type = type == 0 ? SOCK_DGRAM : type;
    remote->datagram_fd = -1;
    remote->stream_fd = -1;
    remote->pid = getpid();
    pthread_mutex_init(&remote->lock, NULL);
    buf_init(&remote->pending, REMOTE_BACKLOG_BYTES);
    if (remote->type == SOCK_DGRAM) {
        remote->datagram_fd = open_socket(remote, SOCK_DGRAM);
        return MIN_OF(remote->datagram_fd, 0);
    }
    return 0;
}

/* IPv4 is what these servers usually listen on, also where localhost has an IPv6 address too. */
static struct addrinfo *
resolve(int type, const char *host, const char *port, int *ret_error)
{
    static const int families[] = {AF_INET, AF_INET6};
    struct addrinfo *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(families) && !found; i++) {
        struct addrinfo hints = {.ai_family = families[i], .ai_socktype = type};
        *ret_error = getaddrinfo(host, port, &hints, &found);
    }
    return found;
}

int
remote_open_host(struct remote *remote, int type, const char *host, unsigned port, char **ret_error)
{
    char number[16];
    int error = 0;
    if (port > UINT16_MAX) { /* getaddrinfo() would take part of it */
        *ret_error = mem_printf("%s: there is no port %u", host, port);
        return -EADDRNOTAVAIL;
    }
    (void)snprintf(number, sizeof(number), "%u", port);
    struct addrinfo *found = resolve(type, host, number, &error);
    if (!found) {
        *ret_error = mem_printf("%s: %s", host, gai_strerror(error));
        return -EADDRNOTAVAIL;
    }
    *remote = (struct remote){.address_bytes = found->ai_addrlen};
    memcpy(&remote->address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    int rc = begin(remote, type);
    if (rc < 0) {
        *ret_error = mem_printf("%s: %s", host, strerror(-rc));
    }
    return rc;
}

int
remote_open_unix(struct remote *remote, int type, const char *path, char **ret_error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n >= sizeof(address.sun_path)) {
        *ret_error = mem_printf("the path of a unix socket is too long: %s", path);
        return -ENAMETOOLONG;
    }
    memcpy(address.sun_path, path, n);
    *remote = (struct remote){.address_bytes = sizeof(address)};
    memcpy(&remote->address, &address, sizeof(address));
    int rc = begin(remote, type);
    if (rc < 0) {
        *ret_error = mem_printf("%s: %s", path, strerror(-rc));
    }
    return rc;
}

void
remote_close(struct remote *remote)
{
    fd_close(&remote->datagram_fd);
    fd_close(&remote->stream_fd);
    buf_fini(&remote->pending);
    pthread_mutex_destroy(&remote->lock);
}

/* --- datagrams --- */

static void
count_lost(struct remote *remote, uint64_t n)
{
    atomic_fetch_add_explicit(&remote->lost, n, memory_order_relaxed);
}

/* 0 or negative errno. */
static int
send_datagram(const struct remote *remote, struct span message)
{
    ssize_t sent;
    do {
        sent = sendto(remote->datagram_fd, message.p, message.n, FLAGS,
                      (const struct sockaddr *)&remote->address, remote->address_bytes);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

void
remote_send_batch(struct remote *remote, const struct span *messages, size_t n)
{
    struct iovec iov[REMOTE_BATCH_MAX];
    struct mmsghdr headers[REMOTE_BATCH_MAX];
    memset(headers, 0, sizeof(headers));
    for (size_t i = 0; i < n; i++) {
        iov[i] = (struct iovec){(void *)(uintptr_t)messages[i].p, messages[i].n};
        headers[i].msg_hdr.msg_iov = &iov[i];
        headers[i].msg_hdr.msg_iovlen = 1;
        headers[i].msg_hdr.msg_name = &remote->address;
        headers[i].msg_hdr.msg_namelen = remote->address_bytes;
    }
    int sent = sendmmsg(remote->datagram_fd, headers, (unsigned)n, FLAGS);
    if ((size_t)MAX_OF(sent, 0) < n) {
        count_lost(remote, n - (size_t)MAX_OF(sent, 0));
    }
}

/* --- a stream, with its lock --- */

/* What waits is dropped: a new connection has to begin with a whole message. */
static void
disconnect(struct remote *remote)
{
    uint64_t messages = 0;
    for (size_t i = 0; i < remote->pending.len; i++) {
        messages += buf_begin(&remote->pending)[i] == '\0';
    }
    count_lost(remote, messages);
    buf_clear(&remote->pending);
    fd_close(&remote->stream_fd);
}

static void
start_connecting(struct remote *remote)
{
    int64_t now_ns = clock_mono_ns();
    if (now_ns < remote->retry_ns) {
        return;
    }
    remote->retry_ns = now_ns + NS_PER_SEC;
    int fd = open_socket(remote, SOCK_STREAM);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&remote->address, remote->address_bytes) &&
        errno != EINPROGRESS) {
        fd_close(&fd);
    }
    remote->stream_fd = MAX_OF(fd, -1);
}

static void
flush(struct remote *remote)
{
    while (remote->pending.len > 0) {
        ssize_t sent =
            send(remote->stream_fd, buf_begin(&remote->pending), remote->pending.len, FLAGS);
        if (sent >= 0) {
            buf_consume(&remote->pending, (size_t)sent);
        } else if (errno == EAGAIN || errno == ENOTCONN) {
            return; /* it is behind, or not connected yet */
        } else if (errno != EINTR) {
            disconnect(remote);
        }
    }
}

/* A forked child has its parent's connection, and maybe a lock that nobody will release. */
static void
lock_stream(struct remote *remote)
{
    pid_t pid = getpid();
    if (remote->pid != pid) {
        remote->pid = pid;
        pthread_mutex_init(&remote->lock, NULL);
        fd_close(&remote->stream_fd);
        buf_clear(&remote->pending);
        remote->retry_ns = 0;
    }
    pthread_mutex_lock(&remote->lock);
}

void
remote_connect(struct remote *remote, int patience_ms)
{
    if (remote->type != SOCK_STREAM) {
        return;
    }
    lock_stream(remote);
    if (remote->stream_fd < 0) {
        start_connecting(remote);
    }
    struct pollfd wait = {.fd = remote->stream_fd, .events = POLLOUT};
    pthread_mutex_unlock(&remote->lock);
    if (wait.fd < 0) {
        return;
    }
    poll(&wait, 1, patience_ms);
    lock_stream(remote);
    flush(remote);
    pthread_mutex_unlock(&remote->lock);
}

static bool
send_stream(struct remote *remote, struct span message)
{
    lock_stream(remote);
    if (remote->stream_fd < 0) {
        start_connecting(remote);
    }
    bool kept = remote->stream_fd >= 0 && buf_append_span(&remote->pending, message) == 0;
    if (kept) {
        flush(remote);
    } else {
        count_lost(remote, 1);
    }
    pthread_mutex_unlock(&remote->lock);
    return kept;
}

bool
remote_send(struct remote *remote, struct span message)
{
    int error = errno;
    bool sent = false;
    if (remote->type == SOCK_DGRAM) {
        int rc = send_datagram(remote, message);
        if (rc == -EPROTOTYPE && remote->either) {
            remote->type = SOCK_STREAM;
        } else {
            sent = rc == 0;
            count_lost(remote, sent ? 0 : 1);
        }
    }
    if (remote->type == SOCK_STREAM) {
        sent = send_stream(remote, message);
    }
    errno = error;
    return sent;
}
