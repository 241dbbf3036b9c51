/* SPDX-License-Identifier: MIT */
#include "proc/systemd.h"

#include "base/num.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const uint64_t WATCHDOG_MAX_US = UINT64_C(1) << 40; /* twelve days */

static uint64_t
number_in_env(const char *name)
{
    const char *text = getenv(name);
    uint64_t value = 0;
    return text && num_from_dec(span_str(text), &value) == 0 ? value : 0;
}

int
systemd_listen_fds(void)
{
    if (number_in_env("LISTEN_PID") != (uint64_t)getpid()) {
        return 0;
    }
    uint64_t n = number_in_env("LISTEN_FDS");
    return n <= INT_MAX - SYSTEMD_FIRST_FD ? (int)n : 0;
}

int64_t
systemd_watchdog_us(void)
{
    if (getenv("WATCHDOG_PID") && number_in_env("WATCHDOG_PID") != (uint64_t)getpid()) {
        return 0;
    }
    uint64_t us = number_in_env("WATCHDOG_USEC");
    return us <= WATCHDOG_MAX_US ? (int64_t)us : 0;
}

int
systemd_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path || path[0] == '\0') {
        return 0;
    }
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n >= sizeof(un.sun_path)) {
        return -ENAMETOOLONG;
    }
    memcpy(un.sun_path, path, n);
    if (path[0] == '@') { /* the abstract name space */
        un.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&un, length);
    int rc = sent < 0 ? -errno : 0;
    close(fd);
    return rc;
}
