/* SPDX-License-Identifier: MIT */
/*
 * The workers as a group: who has checked in, who is late, who is gone, and how many there should
 * be. Part of the arbiter.
 */
#ifndef SAOLA_PROC_MANAGE_H
#define SAOLA_PROC_MANAGE_H

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct arbiter;
struct child;

/* for (EACH_CHILD(arbiter, node, next)): oldest first, with the next one at hand, so that the body
 * may free the child. */
#define EACH_CHILD(arbiter, node, next)                               \
    struct list *node = (arbiter)->children.next, *next = node->next; \
    node != &(arbiter)->children;                                     \
    node = next, next = node->next

/* The child of a node of that list. */
struct child *child_at(struct list *node);

/* The child with that pid, NULL if there is none. */
struct child *child_find(const struct arbiter *arbiter, pid_t pid);

/* Waits for children that have ended. */
void manage_reap(struct arbiter *arbiter, int64_t now_ns);

/* Takes notice of what the workers say in their slots. */
void manage_look(struct arbiter *arbiter, int64_t now_ns);

/* The arbiter has run `lost_ns` later than it meant to, and perhaps its workers too: that does not
 * make them late. */
void manage_excuse(struct arbiter *arbiter, int64_t lost_ns, int64_t now_ns);

/* Kills those that are late: to boot, to show a heartbeat, to leave. */
void manage_punish(struct arbiter *arbiter, int64_t now_ns);

/* Starts and retires workers until there are as many as there should be. */
void manage_balance(struct arbiter *arbiter, int64_t now_ns);

/* Tells a worker to go: it counts no longer, and has graceful_timeout to end. */
void manage_retire(const struct arbiter *arbiter, struct child *child, int64_t now_ns);

/* Whether a worker boots or is being replaced. */
bool manage_in_transition(const struct arbiter *arbiter);

/* Sends a signal to a worker, to every worker. */
void manage_signal(struct child *child, int signal_number);
void manage_signal_all(const struct arbiter *arbiter, int signal_number);

/* To a worker that is to end: KILL follows if it does not. */
void manage_punish_child(struct child *child, int signal_number, int64_t now_ns);

/* Kills all workers, once the log has what they are doing. */
void manage_kill_all(const struct arbiter *arbiter, int64_t now_ns);

/* When manage_balance() or manage_punish() has something to do next; INT64_MAX: never. */
int64_t manage_next_ns(const struct arbiter *arbiter);

#endif
