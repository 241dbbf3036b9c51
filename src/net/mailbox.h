/* SPDX-License-Identifier: MIT */
/*
 * A mailbox: a pair of sockets through which one process gives another a few bytes with the
 * descriptors they are about. Messages are whole or not there at all, and never waited for. Made
 * before the processes are forked: each writes at one end what the owner reads at the other, and
 * what was not read stays there when the owner dies.
 *
 * No locks: any thread may send; one thread at a time receives. Functions return negative errno.
 */
#ifndef SAOLA_NET_MAILBOX_H
#define SAOLA_NET_MAILBOX_H

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

enum {
    MAILBOX_BYTES_MAX = 128 * 1024, /* of a message */
    MAILBOX_FDS_MAX = 2,
    MAILBOX_NUDGE_BYTES = 1,
};

struct mailbox {
    int read_fd; /* owned, as the other; -1: none. Non-blocking, close-on-exec */
    int write_fd;
};

/* What came with a message; the receiver's to close. */
struct mail_fds {
    int items[MAILBOX_FDS_MAX];
    unsigned count;
};

int mailbox_open(struct mailbox *mailbox) NODISCARD;
void mailbox_close(struct mailbox *mailbox);

/* Sends one message, at least a byte, with duplicates of 1 to MAILBOX_FDS_MAX descriptors. -EAGAIN:
 * the mailbox is full, or mailboxes hold as many descriptors as the user may have there; -EMSGSIZE:
 * more than it can hold. `iov` is not modified. Any other Unix socket will do as well. */
int mailbox_send(int fd, const struct iovec *iov, size_t n, const int *fds, unsigned n_fds)
    NODISCARD;

/* Sends a message that says nothing: its owner wakes up. It has no descriptor and
 * MAILBOX_NUDGE_BYTES. Returns as mailbox_send(). */
int mailbox_nudge(int fd) NODISCARD;

/* Takes the next message, which has at most `max` bytes; the descriptors are close-on-exec. Bytes;
 * 0: nobody can send any more; -EAGAIN: there is none. Any other error says that a message was
 * thrown away: -EBADMSG because it does not fit, -EMFILE for want of descriptors. */
ssize_t mailbox_receive(int fd, void *out, size_t max, struct mail_fds *ret_fds) NODISCARD;

void mail_fds_close(struct mail_fds *fds);

bool mailbox_has_mail(int fd);

/* Moves the oldest message of one mailbox to another, unread. -EAGAIN: there is none, or the other
 * is full: nothing has changed; -ENOMSG: it was a nudge, and is gone. */
int mailbox_forward(int from_fd, int to_fd) NODISCARD;

#endif
