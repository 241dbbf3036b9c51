/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include "base/mem.h"
#include "base/panic.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_FIRST_BYTES = 256 };

void
buf_init(struct buf *b, size_t max_bytes)
{
    *b = (struct buf){.max = max_bytes};
}

void
buf_fini(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

int
buf_reserve(struct buf *b, size_t n)
{
    if (n > b->max || b->len > b->max - n) {
        return -ENOBUFS;
    }
    if (LIKELY(b->cap - b->off - b->len >= n)) {
        return 0;
    }
    if (b->off > 0) {
        memmove(b->data, b->data + b->off, b->len);
        b->off = 0;
    }
    if (b->cap - b->len < n) {
        size_t cap = MAX_OF(b->cap, BUF_FIRST_BYTES);
        while (cap < b->len + n) {
            cap *= 2;
        }
        b->data = mem_realloc(b->data, cap);
        b->cap = cap;
    }
    return 0;
}

int
buf_append(struct buf *b, const void *bytes, size_t n)
{
    int rc = buf_reserve(b, n);
    if (rc < 0) {
        return rc;
    }
    if (n > 0) {
        memcpy(buf_end(b), bytes, n);
        b->len += n;
    }
    return 0;
}

int
buf_append_span(struct buf *b, struct span s)
{
    return buf_append(b, s.p, s.n);
}

int
buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    /* One byte more for the NUL that vsnprintf writes and the content does not count. */
    int rc = length < 0 ? -EINVAL : buf_reserve(b, (size_t)length + 1);
    if (rc == 0) {
        vsnprintf(buf_end(b), (size_t)length + 1, format, again);
        b->len += (size_t)length;
    }
    va_end(again);
    va_end(args);
    return rc;
}

void
buf_consume(struct buf *b, size_t n)
{
    ASSERT(n <= b->len);
    b->len -= n;
    b->off = b->len == 0 ? 0 : b->off + n;
}
