/* SPDX-License-Identifier: MIT */
#include "net/mailbox.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/panic.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { RECEIVED_FDS_MAX = 8 }; /* more than anybody sends: what is too much is closed here */

int
mailbox_open(struct mailbox *mailbox)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0) {
        return -errno;
    }
    *mailbox = (struct mailbox){.read_fd = fds[0], .write_fd = fds[1]};
    return 0;
}

void
mailbox_close(struct mailbox *mailbox)
{
    fd_close(&mailbox->read_fd);
    fd_close(&mailbox->write_fd);
}

/* What a full mailbox is to the kernel: among others, more descriptors on their way than the user
 * may have, wherever they are going. */
static int
send_error(int error)
{
    return error == ENOBUFS || error == ETOOMANYREFS ? -EAGAIN : -error;
}

static int
send_message(int fd, const struct msghdr *message)
{
    for (;;) {
        if (sendmsg(fd, message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
            return 0;
        }
        if (errno != EINTR) {
            return send_error(errno);
        }
    }
}

int
mailbox_send(int fd, const struct iovec *iov, size_t n, const int *fds, unsigned n_fds)
{
    ASSERT(n_fds >= 1 && n_fds <= MAILBOX_FDS_MAX);
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * MAILBOX_FDS_MAX)];
    } control;
    memset(&control, 0, sizeof(control));
    control.header = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int) * n_fds),
        .cmsg_level = SOL_SOCKET,
        .cmsg_type = SCM_RIGHTS,
    };
    memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * n_fds);
    struct msghdr message = {
        .msg_iov = (struct iovec *)iov,
        .msg_iovlen = n,
        .msg_control = &control,
        .msg_controllen = CMSG_SPACE(sizeof(int) * n_fds),
    };
    return send_message(fd, &message);
}

int
mailbox_nudge(int fd)
{
    char nudge[MAILBOX_NUDGE_BYTES] = {0};
    struct iovec iov = {nudge, sizeof(nudge)};
    return send_message(fd, &(struct msghdr){.msg_iov = &iov, .msg_iovlen = 1});
}

void
mail_fds_close(struct mail_fds *fds)
{
    for (unsigned i = 0; i < fds->count; i++) {
        fd_close(&fds->items[i]);
    }
    fds->count = 0;
}

/* Keeps the descriptors of a message, or closes them all if there are too many. */
static int
take_fds(struct msghdr *message, struct mail_fds *ret_fds)
{
    int received[RECEIVED_FDS_MAX];
    size_t count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            size_t n = MIN_OF((c->cmsg_len - CMSG_LEN(0)) / sizeof(int), RECEIVED_FDS_MAX - count);
            memcpy(received + count, CMSG_DATA(c), n * sizeof(int));
            count += n;
        }
    }
    bool too_many = count > MAILBOX_FDS_MAX;
    for (size_t i = 0; i < count; i++) {
        if (too_many) {
            fd_close(&received[i]);
        } else {
            ret_fds->items[ret_fds->count++] = received[i];
        }
    }
    return too_many ? -EBADMSG : 0;
}

static ssize_t
receive(int fd, void *out, size_t max, struct mail_fds *ret_fds, int flags)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * RECEIVED_FDS_MAX)];
    } control;
    struct iovec iov = {out, max};
    struct msghdr message = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t got;
    do {
        got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | flags);
    } while (got < 0 && errno == EINTR);
    *ret_fds = (struct mail_fds){.count = 0};
    if (got < 0) {
        return -errno;
    }
    int rc = take_fds(&message, ret_fds);
    if (rc == 0 && (message.msg_flags & MSG_CTRUNC)) {
        rc = -EMFILE;
    } else if (rc == 0 && (message.msg_flags & MSG_TRUNC)) {
        rc = -EBADMSG;
    }
    if (rc < 0) {
        mail_fds_close(ret_fds);
        return rc;
    }
    return got;
}

ssize_t
mailbox_receive(int fd, void *out, size_t max, struct mail_fds *ret_fds)
{
    return receive(fd, out, max, ret_fds, 0);
}

bool
mailbox_has_mail(int fd)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    return poll(&pollfd, 1, 0) > 0 && (pollfd.revents & POLLIN);
}

/* Throws the oldest message away. */
static void
drop(int fd)
{
    char byte;
    struct mail_fds fds;
    ssize_t got = receive(fd, &byte, sizeof(byte), &fds, 0);
    (void)got; /* it was cut, which is no matter */
    mail_fds_close(&fds);
}

int
mailbox_forward(int from_fd, int to_fd)
{
    struct mail_fds fds;
    char *bytes = mem_alloc(MAILBOX_BYTES_MAX);
    /* Looked at first, so that it stays where it is if there is no room for it. */
    ssize_t got = receive(from_fd, bytes, MAILBOX_BYTES_MAX, &fds, MSG_PEEK);
    int rc = (int)MIN_OF(got, 0);
    if (got > 0 && fds.count > 0) {
        struct iovec iov = {bytes, (size_t)got};
        rc = mailbox_send(to_fd, &iov, 1, fds.items, fds.count);
    } else if (got >= 0) {
        rc = got == MAILBOX_NUDGE_BYTES ? -ENOMSG : -EBADMSG;
    }
    mail_fds_close(&fds);
    free(bytes);
    if (rc == 0 || rc == -EBADMSG || rc == -ENOMSG) {
        drop(from_fd);
    }
    return rc;
}
