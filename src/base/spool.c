/* SPDX-License-Identifier: MIT */
#include "base/spool.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { FREE_STEP_BYTES = 16 * 1024 * 1024 };

void
spool_init(struct spool *spool)
{
    *spool = (struct spool){.fd = -1};
}

void
spool_fini(struct spool *spool)
{
    fd_close(&spool->fd);
    spool_init(spool);
}

int
spool_append(struct spool *spool, const char *directory, const void *bytes, size_t n)
{
    if (spool->fd < 0) {
        int fd = fd_tmpfile(directory);
        if (fd < 0) {
            return fd;
        }
        spool->fd = fd;
    }
    int rc = fd_pwrite_all(spool->fd, bytes, n, spool->write);
    if (rc == 0) {
        spool->write += (int64_t)n;
    }
    return rc;
}

ssize_t
spool_pread(const struct spool *spool, void *out, size_t n, int64_t offset)
{
    for (;;) {
        ssize_t got = pread(spool->fd, out, n, offset);
        if (got >= 0) {
            return got;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

void
spool_consume(struct spool *spool, int64_t n)
{
    spool->read += n;
#ifdef FALLOC_FL_PUNCH_HOLE
    /* A stream without end must not fill the disk. Where the file system cannot do it, it grows. */
    if (spool->read - spool->freed >= FREE_STEP_BYTES) {
        int rc = fallocate(spool->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, spool->freed,
                           spool->read - spool->freed);
        (void)rc;
        spool->freed = spool->read;
    }
#endif
}
