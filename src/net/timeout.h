/* SPDX-License-Identifier: MIT */
/*
 * Timeouts of one duration. Since the duration is the same for all, the order in which they are
 * armed is the order in which they expire: a list, O(1) to arm, move and cancel. The loop's lock
 * guards it.
 */
#ifndef SAOLA_NET_TIMEOUT_H
#define SAOLA_NET_TIMEOUT_H

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct timeout {
    struct list node;
    int64_t deadline_ns; /* monotonic */
};

struct timeout_queue {
    struct list armed;   /* earliest first */
    int64_t duration_ns; /* 0: nothing expires */
};

static inline void
timeout_init(struct timeout *timeout)
{
    list_init(&timeout->node);
}

static inline void
timeout_queue_init(struct timeout_queue *queue, int64_t duration_ns)
{
    list_init(&queue->armed);
    queue->duration_ns = duration_ns;
}

static inline void
timeout_stop(struct timeout *timeout)
{
    list_remove(&timeout->node);
}

/* Arms it anew from `now_ns`, in whatever queue it was. */
static inline void
timeout_start(struct timeout_queue *queue, struct timeout *timeout, int64_t now_ns)
{
    list_remove(&timeout->node);
    timeout->deadline_ns = now_ns + queue->duration_ns;
    list_append(&queue->armed, &timeout->node);
}

/* Arms it as if that had been done at `since_ns`: among the later ones, from the end. */
static inline void
timeout_start_since(struct timeout_queue *queue, struct timeout *timeout, int64_t since_ns)
{
    list_remove(&timeout->node);
    timeout->deadline_ns = since_ns + queue->duration_ns;
    struct list *before = queue->armed.prev;
    while (before != &queue->armed &&
           LIST_ENTRY(before, struct timeout, node)->deadline_ns > timeout->deadline_ns) {
        before = before->prev;
    }
    list_prepend(before, &timeout->node);
}

/* When a timeout that is armed in the queue was started. */
static inline int64_t
timeout_since(const struct timeout_queue *queue, const struct timeout *timeout)
{
    return timeout->deadline_ns - queue->duration_ns;
}

/* The one that was armed first, or NULL. */
static inline struct timeout *
timeout_oldest(const struct timeout_queue *queue)
{
    struct list *node = list_first(&queue->armed);
    return node ? LIST_ENTRY(node, struct timeout, node) : NULL;
}

/* The oldest if it has expired, else NULL. It stays armed. */
static inline struct timeout *
timeout_expired(const struct timeout_queue *queue, int64_t now_ns)
{
    struct timeout *oldest = queue->duration_ns > 0 ? timeout_oldest(queue) : NULL;
    return oldest && oldest->deadline_ns <= now_ns ? oldest : NULL;
}

#endif
