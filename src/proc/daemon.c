/* SPDX-License-Identifier: MIT */
#include "proc/daemon.h"

#include "config/config.h"
#include "proc/arbiter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DAEMON_UMASK = 022 };

/* 0 in the child; the parent ends. */
static int
fork_away(struct arbiter *a)
{
    pid_t pid = a->host->fork(a->context);
    if (pid > 0) {
        _exit(0);
    }
    return pid < 0 ? -errno : 0;
}

static int
silence(bool keep_files)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) {
        return -errno;
    }
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if ((!keep_files || isatty(fd)) && dup2(null, fd) < 0) {
            return -errno;
        }
    }
    if (null > STDERR_FILENO) {
        close(null);
    }
    return 0;
}

int
daemon_detach(struct arbiter *a)
{
    a->daemonized = true;
    if (a->predecessor_pid != 0) {
        return 0;
    }
    if (getenv("NOTIFY_SOCKET")) {
        fputs("Warning: you shouldn't specify `daemon = True` when launching by systemd with "
              "`Type = notify`\n",
              stderr);
    }
    int rc = fork_away(a);
    if (rc == 0) {
        setsid();
        rc = fork_away(a);
    }
    if (rc < 0) {
        return rc;
    }
    umask(DAEMON_UMASK);
    return silence(a->cfg->enable_stdio_inheritance);
}
