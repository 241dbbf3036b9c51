/* SPDX-License-Identifier: MIT */
#include "proc/spawn.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/panic.h"
#include "config/config.h"
#include "log/log.h"
#include "proc/arbiter.h"
#include "proc/manage.h"
#include "proc/signals.h"
#include "proc/title.h"
#include "proc/worker_signals.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
worker_start_notify(const struct worker_start *start)
{
    /* A full pipe will wake the arbiter as well. */
    (void)!write(start->notify_fd, "", 1);
}

void
worker_start_ready(const struct worker_start *start)
{
    int64_t now_ns = clock_mono_ns();
    slot_heartbeat(start->slot, now_ns);
    atomic_store_explicit(&start->slot->ready_ns, now_ns, memory_order_relaxed);
    slot_set_state(start->slot, SLOT_READY);
    worker_start_notify(start);
}

static struct worker_start *
start_new(struct arbiter *a, const struct child *child, pid_t arbiter_pid)
{
    struct worker_start *start = mem_zalloc(sizeof(*start));
    *start = (struct worker_start){
        .slot = child->slot,
        .slots = &a->slots,
        .mailboxes = &a->mailboxes,
        .listeners = a->listeners,
        .listener_count = a->listener_count,
        .cfg = a->cfg,
        .parent_fd = a->alive_fds[0],
        .notify_fd = a->notify_fds[1],
        .stacks_fd = child->stacks.fd,
        .arbiter_pid = arbiter_pid,
    };
    return start;
}

/* The new child is not in the list yet. */
static void
close_stacks_of_others(const struct arbiter *a)
{
    for (EACH_CHILD(a, node, next)) {
        stacks_fini(&child_at(node)->stacks);
    }
}

/* The life of the new process, until the host takes over. Signals are still blocked. */
static NORETURN void
become_worker(struct arbiter *a, struct child *child, pid_t arbiter_pid, const sigset_t *mask)
{
    struct worker_start *start = start_new(a, child, arbiter_pid);
    signals_reset();
    worker_signals_begin(start);
    signals_unblock(mask);
    worker_signals_watch();
    fd_close(&a->alive_fds[1]);
    fd_close(&a->notify_fds[0]);
    fd_close(&a->predecessor_fd);
    close_stacks_of_others(a);
    pidfile_fini(&a->pidfile);
    lobby_become_worker(a);
    mailboxes_become(&a->mailboxes, slot_index(&a->slots, child->slot));
    child->pid = getpid();
    panic_set_record(child->slot->panic, sizeof(child->slot->panic), child->stacks.fd);
    arbiter_set_title(a, "worker");
    log_info("Booting worker with pid: %d", (int)child->pid);
    a->host->run_worker(a->context, child, start);
}

void
spawn_forget(struct arbiter *a, struct child *child)
{
    a->host->child_free(a->context, child);
    slot_release(child->slot);
    stacks_fini(&child->stacks);
    list_remove(&child->node);
    free(child);
}

/* One whose mailbox holds mail, or else the first. */
static struct slot *
take_slot(struct arbiter *a)
{
    uint32_t age = a->last_age + 1;
    for (unsigned i = 0; i < a->mailboxes.count; i++) {
        if (mailbox_has_mail(a->mailboxes.items[i].read_fd)) {
            struct slot *slot = slots_take_at(&a->slots, i, a->generation, age);
            if (slot) {
                return slot;
            }
        }
    }
    return slots_take(&a->slots, a->generation, age);
}

static struct child *
child_new(struct arbiter *a)
{
    mailboxes_grow(&a->mailboxes, a->target, a->slots.count);
    struct slot *slot = take_slot(a);
    if (!slot) {
        return NULL;
    }
    struct child *child = mem_zalloc(sizeof(*child));
    child->slot = slot;
    child->age = ++a->last_age;
    child->generation = a->generation;
    list_init(&child->node);
    stacks_init(&child->stacks);
    return child;
}

int
spawn_worker(struct arbiter *a, int64_t now_ns)
{
    sigset_t mask;
    struct child *child = child_new(a);

    if (!child) {
        return -ENOSPC;
    }
    int rc = a->host->child_new(a->context, child);
    if (rc == 0) {
        rc = a->host->call_hook(a->context, HOOK_PRE_FORK, child);
    }
    if (rc < 0) {
        spawn_forget(a, child);
        return rc;
    }
    pid_t arbiter_pid = getpid(); /* the child's parent may be another one soon */
    signals_block(&mask);
    pid_t pid = a->host->fork(a->context);
    int err = errno;
    if (pid == 0) {
        become_worker(a, child, arbiter_pid, &mask);
    }
    signals_unblock(&mask);
    if (pid < 0) {
        spawn_forget(a, child);
        return -err;
    }
    child->pid = pid;
    child->forked_ns = now_ns;
    atomic_store(&child->slot->pid, pid);
    list_append(&a->children, &child->node);
    a->host->child_forked(a->context, child);
    return 0;
}
