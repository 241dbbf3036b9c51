/* SPDX-License-Identifier: MIT */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int
set_flag(int fd, int get, int set, int flag, bool on)
{
    int flags = fcntl(fd, get);
    if (flags < 0) {
        return -errno;
    }
    int wanted = on ? flags | flag : flags & ~flag;
    if (wanted != flags && fcntl(fd, set, wanted) < 0) {
        return -errno;
    }
    return 0;
}

int
fd_set_nonblocking(int fd, bool on)
{
    return set_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int
fd_set_cloexec(int fd, bool on)
{
    return set_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

void
fd_close(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

int
fd_dup(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

int
fd_above_stdio(int fd)
{
    if (LIKELY(fd > STDERR_FILENO || fd < 0)) {
        return fd;
    }
    int moved = fd_dup(fd);
    int saved_errno = errno;
    close(fd);
    errno = saved_errno;
    return moved;
}

int
fd_open_stdio(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        /* The lowest free number is the one that is closed. */
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0) {
            return -errno;
        }
    }
    return 0;
}

int
fd_write_all(int fd, const void *bytes, size_t n)
{
    const char *p = bytes;
    while (n > 0) {
        ssize_t written = write(fd, p, n);
        if (written < 0 && errno != EINTR) {
            return -errno;
        }
        if (written > 0) {
            p += written;
            n -= (size_t)written;
        }
    }
    return 0;
}

int
fd_pwrite_all(int fd, const void *bytes, size_t n, int64_t offset)
{
    const char *p = bytes;
    while (n > 0) {
        ssize_t written = pwrite(fd, p, n, offset);
        if (written < 0 && errno != EINTR) {
            return -errno;
        }
        if (written > 0) {
            p += written;
            n -= (size_t)written;
            offset += written;
        }
    }
    return 0;
}

static const char *
tmp_directory(const char *directory)
{
    if (directory && directory[0] != '\0') {
        return directory;
    }
    const char *env = getenv("TMPDIR");
    return env && env[0] != '\0' ? env : "/tmp";
}

int
fd_tmpfile(const char *directory)
{
    directory = tmp_directory(directory);
#ifdef O_TMPFILE
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) {
        return fd;
    }
    /* Some file systems (overlayfs before 6.3, NFS) have no O_TMPFILE: name it and unlink it. */
#endif
    char path[4096];
    int length = snprintf(path, sizeof(path), "%s/saola-XXXXXX", directory);
    if (length < 0 || (size_t)length >= sizeof(path)) {
        return -ENAMETOOLONG;
    }
    int named = mkostemp(path, O_CLOEXEC);
    if (named < 0) {
        return -errno;
    }
    unlink(path);
    return named;
}

int
fd_memfile(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    return fd >= 0 ? fd : fd_tmpfile(NULL);
}

int
fd_pipe(int fds[2])
{
    return pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0 ? -errno : 0;
}
