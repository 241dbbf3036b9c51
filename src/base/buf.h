/* SPDX-License-Identifier: MIT */
/*
 * A growable byte buffer with a hard maximum: bytes are appended at the end and consumed from the
 * front. `data + off .. data + off + len` is the content. Growth doubles; consuming everything
 * rewinds. The owner of the struct owns the memory. Not thread-safe: guard it as its owner is
 * guarded.
 */
#ifndef SAOLA_BASE_BUF_H
#define SAOLA_BASE_BUF_H

#include "base/macros.h"
#include "base/span.h"

#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* owned; NULL while nothing was ever appended */
    size_t off; /* bytes consumed at the front of data */
    size_t len; /* bytes of content */
    size_t cap; /* bytes allocated */
    size_t max; /* content may not grow beyond this */
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_fini(struct buf *b); /* releases the memory; the struct may be used again */

/* Room for at least `n` more bytes, to be filled at buf_end() and announced with buf_added().
 * -ENOBUFS if the content would exceed max. */
int buf_reserve(struct buf *b, size_t n) NODISCARD;

/* Appends all or nothing. -ENOBUFS as buf_reserve(). */
int buf_append(struct buf *b, const void *bytes, size_t n) NODISCARD;
int buf_append_span(struct buf *b, struct span s) NODISCARD;
int buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3) NODISCARD;

void buf_consume(struct buf *b, size_t n);

/* The content of a buffer to which nothing was ever appended begins at NULL + 0: defined in C++ and
 * C2y, and a complaint of clang's UBSan about C11. */
#define BUF_NULL_PLUS_ZERO __attribute__((no_sanitize("pointer-overflow")))

BUF_NULL_PLUS_ZERO static inline char *
buf_begin(const struct buf *b)
{
    return b->data + b->off;
}

BUF_NULL_PLUS_ZERO static inline char *
buf_end(const struct buf *b)
{
    return b->data + b->off + b->len;
}

static inline size_t
buf_room(const struct buf *b)
{
    return b->cap - b->off - b->len;
}

static inline void
buf_added(struct buf *b, size_t n)
{
    b->len += n;
}

static inline struct span
buf_span(const struct buf *b)
{
    return (struct span){buf_begin(b), b->len};
}

static inline void
buf_clear(struct buf *b)
{
    b->off = 0;
    b->len = 0;
}

#endif
