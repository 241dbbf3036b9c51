/* SPDX-License-Identifier: MIT */
#include "net/blocks.h"

#include "base/mem.h"
#include "base/panic.h"

#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_MAX_BYTES = BLOCK_MIN_BYTES << (BLOCK_CLASSES - 1),
    KEEP_BYTES = 512 * 1024, /* free memory kept per size, so that a burst does not stay */
};

void
blocks_init(struct blocks *blocks)
{
    blocks->used_bytes = 0;
    for (unsigned i = 0; i < BLOCK_CLASSES; i++) {
        size_t bytes = (size_t)BLOCK_MIN_BYTES << i;
        pool_init(&blocks->pools[i], bytes, KEEP_BYTES / bytes);
    }
}

void
blocks_fini(struct blocks *blocks)
{
    for (unsigned i = 0; i < BLOCK_CLASSES; i++) {
        pool_fini(&blocks->pools[i]);
    }
}

static unsigned
class_of(size_t bytes)
{
    unsigned size_class = 0;
    while (((size_t)BLOCK_MIN_BYTES << size_class) < bytes) {
        size_class++;
    }
    return size_class;
}

static struct block
block_get(struct blocks *blocks, size_t bytes)
{
    struct block block = {0};
    if (bytes <= BLOCK_MAX_BYTES) {
        unsigned size_class = class_of(bytes);
        block.cap = (uint32_t)BLOCK_MIN_BYTES << size_class;
        block.data = pool_get(&blocks->pools[size_class]);
    } else {
        ASSERT(bytes <= UINT32_MAX);
        block.cap = (uint32_t)bytes;
        block.data = mem_alloc(bytes);
    }
    blocks->used_bytes += block.cap;
    return block;
}

void
block_release(struct blocks *blocks, struct block *block)
{
    if (block->data == NULL) {
        return;
    }
    blocks->used_bytes -= block->cap;
    if (block->cap <= BLOCK_MAX_BYTES) {
        pool_put(&blocks->pools[class_of(block->cap)], block->data);
    } else {
        free(block->data);
    }
    *block = (struct block){0};
}

void
block_reserve(struct blocks *blocks, struct block *block, size_t n)
{
    if (LIKELY(block->data != NULL && block_room(block) >= n)) {
        return;
    }
    if (block->data != NULL && block->cap - block->len >= n) {
        memmove(block->data, block_begin(block), block->len);
        block->off = 0;
        return;
    }
    /* Doubling keeps the copies linear when bytes trickle in. */
    size_t wanted = (size_t)block->len + n;
    if (block->data != NULL && wanted < (size_t)block->cap * 2) {
        wanted = (size_t)block->cap * 2;
    }
    struct block larger = block_get(blocks, wanted);
    if (block->len > 0) {
        memcpy(larger.data, block_begin(block), block->len);
        larger.len = block->len;
    }
    block_release(blocks, block);
    *block = larger;
}

void
block_append(struct blocks *blocks, struct block *block, const void *bytes, size_t n)
{
    if (n == 0) {
        return; /* `bytes` may be NULL then */
    }
    block_reserve(blocks, block, n);
    memcpy(block_end(block), bytes, n);
    block->len += (uint32_t)n;
}

void
block_consume(struct blocks *blocks, struct block *block, size_t n)
{
    ASSERT(n <= block->len);
    block->len -= (uint32_t)n;
    block->off += (uint32_t)n;
    if (block->len == 0) {
        block_release(blocks, block);
    }
}
