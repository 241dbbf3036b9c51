/* SPDX-License-Identifier: MIT */
#include "proc/stacks.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "log/log.h"
#include "proc/arbiter.h"
#include "proc/manage.h"
#include "proc/obituary.h"
#include "proc/signals.h"
#include "proc/stacks_answer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MAX_BYTES = 64 * 1024 };

/* A worker takes a millisecond. One that could run, but has not in the first time, has the second.
 */
static const int64_t PATIENCE_NS = 200 * NS_PER_MS;
static const int64_t PATIENCE_MORE_NS = 800 * NS_PER_MS;

static int
open_file(void)
{
    int fd = fd_memfile("saola-stacks");
    /* Handlers of several threads may write, and the arbiter empties it. */
    if (fd >= 0 && fcntl(fd, F_SETFL, O_APPEND) < 0) {
        int err = errno;
        fd_close(&fd);
        return -err;
    }
    return fd;
}

void
stacks_init(struct stacks *stacks)
{
    *stacks = (struct stacks){.fd = open_file()};
    if (stacks->fd < 0) {
        log_warning("Stacks of the next worker will be unknown: %s", strerror(-stacks->fd));
        stacks->fd = -1;
    }
}

void
stacks_fini(struct stacks *stacks)
{
    fd_close(&stacks->fd);
}

static void
empty(const struct child *child)
{
    if (child->stacks.fd >= 0) {
        (void)!ftruncate(child->stacks.fd, 0); /* what stays is shown twice */
    }
}

static void
make_printable(char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((text[i] < ' ' || text[i] > '~') && text[i] != '\n') {
            text[i] = '?';
        }
    }
}

char *
stacks_take(struct child *child)
{
    static const char cut[] = "\n...";
    char *text = mem_alloc(TEXT_MAX_BYTES + sizeof(cut));
    ssize_t n = pread(child->stacks.fd, text, TEXT_MAX_BYTES + 1, 0);
    child->stacks.seen = atomic_load_explicit(&child->slot->stacks_shown, memory_order_acquire);
    empty(child);
    if (n <= 0) {
        free(text);
        return NULL;
    }
    make_printable(text, (size_t)n);
    if (n > TEXT_MAX_BYTES) {
        memcpy(text + TEXT_MAX_BYTES, cut, sizeof(cut));
    } else {
        text[n] = '\0';
    }
    return text;
}

void
stacks_ask(struct child *child, int64_t now_ns)
{
    if (child->stacks.until_ns == 0) {
        empty(child);
        child->stacks.until_ns = now_ns + PATIENCE_NS;
        manage_signal(child, signals_stacks());
    }
}

void
stacks_ask_before(struct child *child, int signal_number, int64_t now_ns)
{
    obituary_write_request(child);
    stacks_ask(child, now_ns);
    child->stacks.then = signal_number;
}

/* The letter of its state in /proc, '\0' if there is none. */
static char
process_state(pid_t pid)
{
    char path[64];
    char line[256];
    char state = '\0';
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file) {
        size_t n = fread(line, 1, sizeof(line) - 1, file);
        line[n] = '\0';
        const char *end = strrchr(line, ')'); /* of a name that may contain anything */
        if (end && end[1] == ' ') {
            state = end[2];
        }
        fclose(file);
    }
    return state;
}

/* Why a worker in that state cannot react to a signal; NULL if it can. */
static const char *
explain_state(char state)
{
    switch (state) {
    case 'D':
        return "it is in an uninterruptible system call";
    case 'T':
    case 't':
        return "it is stopped";
    case 'Z':
    case 'X':
        return "it is dead";
    default:
        return NULL;
    }
}

/* Who has not been asked shows them because somebody else has; or too late, which is for nobody
 * unless it is being ended. */
static bool
is_for_log(const struct child *child, pid_t asker)
{
    if (child->stacks.until_ns > 0) {
        return child->stacks.then != 0;
    }
    return asker != getpid() || child->aborted;
}

static void
write_log(const struct child *child, pid_t asker, const char *text)
{
    char origin[64] = "";
    if (asker != getpid() && asker != 0) {
        snprintf(origin, sizeof(origin), ", for pid %d", (int)asker);
    }
    log_printf(child->aborted ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
               "Stacks of worker (pid:%d)%s:\n%s", (int)child->pid, origin, text);
}

/* They have come; or they have not within their time, and `text` is NULL. */
static void
conclude(struct arbiter *a, struct child *child, const char *text, const char *silence,
         int64_t now_ns)
{
    struct stacks *stacks = &child->stacks;
    pid_t asker = atomic_load_explicit(&child->slot->stacks_for, memory_order_relaxed);

    if (stacks->for_answer) {
        stacks_answer_add(a, child, text, silence);
    }
    if (text && is_for_log(child, asker)) {
        write_log(child, asker, text);
    } else if (!text && stacks->then != 0) {
        log_warning("Worker (pid:%d) does not show its stacks: %s", (int)child->pid, silence);
    }
    if (stacks->then != 0) {
        manage_punish_child(child, stacks->then, now_ns);
    }
    stacks->then = 0;
    stacks->until_ns = 0;
    stacks->overdue = false;
    stacks->for_answer = false;
}

/* Its time is over. */
static void
lose_patience(struct arbiter *a, struct child *child, int64_t now_ns)
{
    const char *reason = explain_state(process_state(child->pid));
    if (!reason && !child->stacks.overdue) {
        child->stacks.overdue = true;
        child->stacks.until_ns = now_ns + PATIENCE_MORE_NS;
    } else {
        conclude(a, child, NULL, reason ? reason : "it does not react", now_ns);
    }
}

void
stacks_look(struct arbiter *a, struct child *child, int64_t now_ns)
{
    const struct slot *slot = child->slot;
    uint32_t shown = atomic_load_explicit(&slot->stacks_shown, memory_order_acquire);
    pid_t asker = atomic_load_explicit(&slot->stacks_for, memory_order_relaxed);

    if (shown != child->stacks.seen && asker != child->pid) {
        char *text = stacks_take(child);
        conclude(a, child, text ? text : "(no Python yet)", NULL, now_ns);
        free(text);
    } else if (child->stacks.until_ns > 0 && now_ns >= child->stacks.until_ns) {
        lose_patience(a, child, now_ns);
    }
}

int64_t
stacks_next_ns(const struct arbiter *a)
{
    int64_t next_ns = INT64_MAX;
    for (EACH_CHILD(a, node, next)) {
        int64_t until_ns = child_at(node)->stacks.until_ns;
        next_ns = until_ns > 0 ? MIN_OF(next_ns, until_ns) : next_ns;
    }
    return next_ns;
}
