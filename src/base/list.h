/* SPDX-License-Identifier: MIT */
/*
 * Intrusive circular doubly linked list. The head is a node of its own; a node that is in no list
 * points at itself, so list_remove() may be called twice and list_linked() tells.
 */
#ifndef SAOLA_BASE_LIST_H
#define SAOLA_BASE_LIST_H

#include "base/macros.h"

#include <stdbool.h>

struct list {
    struct list *prev;
    struct list *next;
};

static inline void
list_init(struct list *node)
{
    node->prev = node;
    node->next = node;
}

static inline bool
list_empty(const struct list *head)
{
    return head->next == head;
}

static inline bool
list_linked(const struct list *node)
{
    return node->next != node;
}

static inline void
list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void
list_prepend(struct list *head, struct list *node)
{
    list_append(head->next, node);
}

static inline void
list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node, or NULL if the list is empty. */
static inline struct list *
list_first(const struct list *head)
{
    return list_empty(head) ? NULL : head->next;
}

#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)

#endif
