/* SPDX-License-Identifier: MIT */
#include "net/reactor.h"

#include "base/fd.h"
#include "base/panic.h"

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>

enum { BATCH_MAX = 64 };

int
reactor_init(struct reactor *reactor)
{
    reactor->fd = epoll_create1(EPOLL_CLOEXEC);
    return reactor->fd < 0 ? -errno : 0;
}

void
reactor_fini(struct reactor *reactor)
{
    fd_close(&reactor->fd);
}

static uint32_t
to_epoll(const struct watch *watch, unsigned interest)
{
    uint32_t events = 0;
    if (interest & REACTOR_READ) {
        events |= EPOLLIN;
    }
    if (interest & REACTOR_WRITE) {
        events |= EPOLLOUT;
    }
    return watch->exclusive ? events | EPOLLEXCLUSIVE : events;
}

int
reactor_set(struct reactor *reactor, struct watch *watch, unsigned interest)
{
    if (watch->interest == interest) {
        return 0;
    }
    int operation = EPOLL_CTL_MOD;
    if (interest == 0) {
        operation = EPOLL_CTL_DEL;
    } else if (watch->interest == 0) {
        operation = EPOLL_CTL_ADD;
    }
    struct epoll_event event = {.events = to_epoll(watch, interest), .data.ptr = watch};
    if (epoll_ctl(reactor->fd, operation, watch->fd, &event) < 0) {
        return -errno;
    }
    watch->interest = interest;
    return 0;
}

static unsigned
from_epoll(uint32_t events)
{
    unsigned result = 0;
    if (events & EPOLLIN) {
        result |= REACTOR_READ;
    }
    if (events & EPOLLOUT) {
        result |= REACTOR_WRITE;
    }
    if (events & (EPOLLHUP | EPOLLERR)) {
        result |= REACTOR_HANGUP;
    }
    return result;
}

int
reactor_wait(struct reactor *reactor, struct reactor_event *events, int max, int timeout_ms)
{
    struct epoll_event batch[BATCH_MAX];
    int n = epoll_wait(reactor->fd, batch, MIN_OF(max, BATCH_MAX), timeout_ms);
    if (n < 0) {
        return -errno;
    }
    for (int i = 0; i < n; i++) {
        events[i].watch = batch[i].data.ptr;
        events[i].events = from_epoll(batch[i].events);
    }
    return n;
}
