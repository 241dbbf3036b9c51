/* SPDX-License-Identifier: MIT */
/* Bytes as they are, over a stream socket. */
#include "net/conn.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

static ssize_t
plain_read(struct conn *conn, void *out, size_t n)
{
    for (;;) {
        ssize_t got = recv(conn->watch.fd, out, n, 0);
        if (got >= 0) {
            return got;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

static ssize_t
plain_writev(struct conn *conn, struct iovec *iov, int n, bool more)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)n};
    for (;;) {
        ssize_t sent = sendmsg(conn->watch.fd, &message, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
        if (sent >= 0) {
            return sent;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

static ssize_t
plain_sendfile(struct conn *conn, int fd, int64_t offset, size_t n)
{
    for (;;) {
        off_t at = offset;
        ssize_t sent = sendfile(conn->watch.fd, fd, &at, n);
        if (sent >= 0) {
            return sent;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

static void
plain_shutdown(struct conn *conn)
{
    /* Fails only if the peer is gone already. */
    shutdown(conn->watch.fd, SHUT_WR);
}

const struct transport transport_plain = {
    .read = plain_read,
    .writev = plain_writev,
    .sendfile = plain_sendfile,
    .shutdown = plain_shutdown,
};
