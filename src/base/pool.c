/* SPDX-License-Identifier: MIT */
#include "base/pool.h"

#include "base/mem.h"
#include "base/panic.h"

#include <stdlib.h>

struct pool_block {
    struct pool_block *next;
};

void
pool_init(struct pool *pool, size_t block_bytes, size_t keep)
{
    ASSERT(block_bytes >= sizeof(struct pool_block));
    *pool = (struct pool){.block_bytes = block_bytes, .keep = keep};
}

void
pool_fini(struct pool *pool)
{
    ASSERT(pool->used == 0);
    while (pool->free) {
        struct pool_block *block = pool->free;
        pool->free = block->next;
        free(block);
    }
    pool->free_count = 0;
}

void *
pool_get(struct pool *pool)
{
    pool->used++;
    struct pool_block *block = pool->free;
    if (UNLIKELY(block == NULL)) {
        return mem_alloc(pool->block_bytes);
    }
    pool->free = block->next;
    pool->free_count--;
    return block;
}

void
pool_put(struct pool *pool, void *block)
{
    if (block == NULL) {
        return;
    }
    ASSERT(pool->used > 0);
    pool->used--;
    if (pool->free_count >= pool->keep) {
        free(block);
        return;
    }
    struct pool_block *freed = block;
    freed->next = pool->free;
    pool->free = freed;
    pool->free_count++;
}
