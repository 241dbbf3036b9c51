/* SPDX-License-Identifier: MIT */
/*
 * Free lists of equally sized blocks: what the loop takes and gives back on every request costs no
 * malloc. A pool keeps at most `keep` blocks and gives the rest back to the system, so a burst does
 * not stay. Owned by one loop and guarded by its lock.
 */
#ifndef SAOLA_BASE_POOL_H
#define SAOLA_BASE_POOL_H

#include "base/macros.h"

#include <stddef.h>

struct pool_block; /* a free block, linked through its own memory */

struct pool {
    struct pool_block *free;
    size_t block_bytes;
    size_t free_count;
    size_t keep; /* free blocks kept at most */
    size_t used; /* blocks handed out and not returned: 0 at the end, or something leaked */
};

void pool_init(struct pool *pool, size_t block_bytes, size_t keep);
void pool_fini(struct pool *pool); /* every block must have been returned */

void *pool_get(struct pool *pool) NODISCARD;   /* not zeroed */
void pool_put(struct pool *pool, void *block); /* NULL is ignored */

#endif
