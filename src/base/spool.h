/* SPDX-License-Identifier: MIT */
/*
 * A spool: a byte queue in a nameless temporary file, for request bodies and responses that outgrow
 * memory. Bytes are appended at the end and taken from the front; the file is created at the first
 * append. Its owner guards it. Errors are negative errno of the file system (-ENOSPC and the like).
 */
#ifndef SAOLA_BASE_SPOOL_H
#define SAOLA_BASE_SPOOL_H

#include "base/macros.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct spool {
    int fd;        /* -1 before the first append; owned */
    int64_t read;  /* bytes taken from the front */
    int64_t freed; /* of them, bytes whose disk space was given back */
    int64_t write; /* bytes appended in all */
};

void spool_init(struct spool *spool);
void spool_fini(struct spool *spool); /* closes, so deletes, the file */

/* `directory` as in fd_tmpfile(), used when the file has to be created. */
int spool_append(struct spool *spool, const char *directory, const void *bytes, size_t n) NODISCARD;

/* Up to `n` bytes at `offset` (from the beginning of the file, whatever was taken); 0 at the end.
 */
ssize_t spool_pread(const struct spool *spool, void *out, size_t n, int64_t offset) NODISCARD;

/* Takes `n` bytes from the front; gives their disk space back from time to time. */
void spool_consume(struct spool *spool, int64_t n);

static inline int64_t
spool_pending(const struct spool *spool)
{
    return spool->write - spool->read;
}

#endif
