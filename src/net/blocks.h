/* SPDX-License-Identifier: MIT */
/*
 * Memory for read and write buffers in sizes that double, 1 KiB to 128 KiB, each with a free list;
 * larger ones come from malloc. Owned by one loop and guarded by its lock.
 */
#ifndef SAOLA_NET_BLOCKS_H
#define SAOLA_NET_BLOCKS_H

#include "base/buf.h"
#include "base/macros.h"
#include "base/pool.h"

#include <stdint.h>

enum { BLOCK_CLASSES = 8, BLOCK_MIN_BYTES = 1024 };

struct blocks {
    struct pool pools[BLOCK_CLASSES];
    size_t used_bytes; /* handed out, of all sizes */
};

/* A run of bytes in one block: content is data[off .. off + len). Zeroed: no memory. */
struct block {
    char *data;
    uint32_t off;
    uint32_t len;
    uint32_t cap;
};

void blocks_init(struct blocks *blocks);
void blocks_fini(struct blocks *blocks); /* every block must have been released */

/* Makes room for `n` more bytes at the end, moving the content to a larger block if it must. The
 * caller has checked the size against a limit. */
void block_reserve(struct blocks *blocks, struct block *block, size_t n);
void block_append(struct blocks *blocks, struct block *block, const void *bytes, size_t n);

/* Takes `n` bytes from the front; when nothing is left the memory goes back. */
void block_consume(struct blocks *blocks, struct block *block, size_t n);
void block_release(struct blocks *blocks, struct block *block);

BUF_NULL_PLUS_ZERO static inline char *
block_begin(const struct block *block)
{
    return block->data + block->off;
}

BUF_NULL_PLUS_ZERO static inline char *
block_end(const struct block *block)
{
    return block->data + block->off + block->len;
}

static inline size_t
block_room(const struct block *block)
{
    return block->cap - block->off - block->len;
}

#endif
