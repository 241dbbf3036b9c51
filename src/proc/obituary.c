/* SPDX-License-Identifier: MIT */
#include "proc/obituary.h"

#include "base/clock.h"
#include "config/config.h"
#include "log/log.h"
#include "log/quote.h"
#include "proc/arbiter.h"
#include "proc/signals.h"
#include "proc/stacks.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_BYTES = 256 };

/* --- the request in progress --- */

const char *
obituary_describe_request(const struct child *child, char *out, size_t size)
{
    struct slot_request_view request;
    if (!slot_request_read(child->slot, &request)) {
        return NULL;
    }
    char method[LOG_QUOTE_TEXT_BYTES];
    char uri[LOG_QUOTE_TEXT_BYTES];
    char peer[LOG_QUOTE_TEXT_BYTES];
    double seconds = (double)(clock_mono_ns() - request.started_ns) / (double)NS_PER_SEC;
    snprintf(out, size, "%s %s from %s for %.3f s",
             log_quote_text(method, sizeof(method), span_str(request.method)),
             log_quote_text(uri, sizeof(uri), span_str(request.uri)),
             request.peer[0] ? log_quote_text(peer, sizeof(peer), span_str(request.peer))
                             : "a unix socket",
             seconds);
    return out;
}

void
obituary_write_request(struct child *child)
{
    char text[OBITUARY_REQUEST_BYTES];
    int64_t started_ns =
        atomic_load_explicit(&child->slot->request.started_ns, memory_order_relaxed);
    if (started_ns == child->request_told_ns ||
        !obituary_describe_request(child, text, sizeof(text))) {
        return;
    }
    child->request_told_ns = started_ns;
    log_warning("Worker (pid:%d) had a request in progress: %s", (int)child->pid, text);
}

/* --- who has sent the signal --- */

static void
read_process_name(pid_t pid, char *out, size_t size)
{
    char path[64];
    char name[64] = "";
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    FILE *file = fopen(path, "re");
    if (file) {
        size_t n = fread(name, 1, sizeof(name) - 1, file);
        name[n] = '\0';
        name[strcspn(name, "\n")] = '\0';
        fclose(file);
    }
    log_quote_text(out, size, span_str(name));
}

void
obituary_look(struct child *child)
{
    const struct slot_signal *from = &child->slot->signal;
    uint32_t count = atomic_load_explicit(&from->count, memory_order_acquire);
    if (count == child->signal.seen) {
        return;
    }
    child->signal = (struct obituary_signal){
        .seen = count,
        .number = atomic_load_explicit(&from->number, memory_order_relaxed),
        .code = atomic_load_explicit(&from->code, memory_order_relaxed),
        .pid = atomic_load_explicit(&from->pid, memory_order_relaxed),
        .uid = atomic_load_explicit(&from->uid, memory_order_relaxed),
        .address = atomic_load_explicit(&from->address, memory_order_relaxed),
    };
    if (child->signal.pid > 0) {
        read_process_name(child->signal.pid, child->signal.name, sizeof(child->signal.name));
    }
}

static bool
was_sent(const struct child *child, int number)
{
    return number < 64 && (child->sent & (UINT64_C(1) << number)) != 0;
}

/* Whether somebody else than the arbiter and the worker itself has sent the worker's last signal.
 */
static bool
has_foreign_signal(const struct child *child)
{
    const struct obituary_signal *signal = &child->signal;
    bool ends_by_exit = signal->number == SIGTERM || signal->number == SIGINT ||
                        signal->number == SIGQUIT || signal->number == SIGABRT;
    return signal->seen != 0 && ends_by_exit && signal->pid != getpid() &&
           signal->pid != child->pid;
}

/* Of a signal that the worker's handler has seen. */
static void
describe_seen(const struct child *child, char *out, size_t size)
{
    const struct obituary_signal *signal = &child->signal;
    const char *name = signals_name(signal->number);

    if (signal->pid == getpid()) {
        snprintf(out, size, "%s came from the arbiter", name);
    } else if (signal->pid == child->pid) {
        snprintf(out, size, "%s came from the worker itself", name);
    } else if (signal->pid > 0 && signal->name[0] == '\0') {
        snprintf(out, size, "%s came from pid %d, which is gone, uid %u", name, (int)signal->pid,
                 (unsigned)signal->uid);
    } else if (signal->pid > 0) {
        snprintf(out, size, "%s came from pid %d (%s), uid %u", name, (int)signal->pid,
                 signal->name, (unsigned)signal->uid);
    } else if (signal->code == SI_USER || signal->code == SI_QUEUE || signal->code == SI_TKILL) {
        snprintf(out, size, "%s came from a process outside of this container", name);
    } else if (signal->number == SIGSEGV || signal->number == SIGBUS) {
        snprintf(out, size, "%s at address 0x%zx", name, (size_t)signal->address);
    } else {
        snprintf(out, size, "%s came from the kernel", name);
    }
}

static const char *
describe_exit(const struct child *child, int code)
{
    if (child->aborted) {
        return "after SIGABRT from the arbiter";
    }
    switch (code) {
    case 0:
        return "exited with code 0, which nobody had asked for";
    case EXIT_WORKER_BOOT_ERROR:
        return child->ready ? "by itself" : "failed to boot";
    case EXIT_APP_LOAD_ERROR:
        return child->ready ? "by itself" : "failed to load the application";
    case EXIT_UNHANDLED:
        return "by an exception, or by itself";
    default:
        return "by itself";
    }
}

static void
describe_cause(const struct child *child, int status, bool hungry, char *out, size_t size)
{
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    bool seen = number == 0 ? has_foreign_signal(child)
                            : child->signal.seen != 0 && child->signal.number == number;
    if (seen) {
        describe_seen(child, out, size);
    } else if (number == 0) {
        snprintf(out, size, "%s", describe_exit(child, WEXITSTATUS(status)));
    } else if (was_sent(child, number)) {
        snprintf(out, size, "%s came from the arbiter", signals_name(number));
    } else {
        snprintf(out, size, "%s",
                 hungry ? "the kernel has counted a kill for want of memory"
                        : "the sender is unknown");
    }
}

/* --- the record --- */

static void
write_details(const struct child *child, int level, int status, bool hungry,
              const struct rusage *usage)
{
    char cause[TEXT_BYTES];
    double seconds = (double)(clock_mono_ns() - child->forked_ns) / (double)NS_PER_SEC;
    bool core = WIFSIGNALED(status) && WCOREDUMP(status);
    describe_cause(child, status, hungry, cause, sizeof(cause));
    log_printf(level,
               "Worker (pid:%d) ended: %s;%s lived %.1f s; requests: %llu; peak memory: %.1f MiB",
               (int)child->pid, cause, core ? " left a core file;" : "", seconds,
               (unsigned long long)metric_read(&child->slot->metrics.requests),
               (double)usage->ru_maxrss / 1024.0);
}

static void
write_panic(const struct child *child)
{
    char text[SLOT_PANIC_MAX];
    memcpy(text, child->slot->panic, sizeof(text));
    text[sizeof(text) - 1] = '\0';
    if (text[0] != '\0') {
        log_error("Worker (pid:%d) found itself broken: %s", (int)child->pid, text);
    }
}

static void
write_stacks(struct child *child)
{
    char *text = stacks_take(child);
    if (text) {
        log_warning("Last stacks of worker (pid:%d):\n%s", (int)child->pid, text);
    }
    free(text);
}

static int
level_of(int signal_number)
{
    switch (signal_number) {
    case SIGTERM:
        return LOG_LEVEL_INFO;
    case SIGKILL:
        return LOG_LEVEL_ERROR;
    default:
        return LOG_LEVEL_WARNING;
    }
}

/* The reloader, a thread of the worker, has sent it TERM, and has said so in the log. */
static bool
is_reloaded(const struct arbiter *a, const struct child *child)
{
    const struct obituary_signal *signal = &child->signal;
    return a->cfg->reload && signal->seen != 0 && signal->number == SIGTERM &&
           signal->pid == child->pid;
}

/* It was told to go and has gone, by itself or by the default effect of the signal. */
static bool
has_obeyed(const struct arbiter *a, const struct child *child, int status)
{
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        return false;
    }
    if (number != 0) {
        return (number == SIGTERM || number == SIGQUIT) && was_sent(child, number);
    }
    return a->phase != ARBITER_RUNNING || was_sent(child, SIGTERM) || was_sent(child, SIGQUIT) ||
           is_reloaded(a, child);
}

static void
write_headline(const struct child *child, int status, bool hungry)
{
    if (WIFSIGNALED(status)) {
        int number = WTERMSIG(status);
        log_printf(level_of(number), "Worker (pid:%d) was sent %s!%s", (int)child->pid,
                   signals_name(number), hungry ? " Perhaps out of memory?" : "");
    } else if (WEXITSTATUS(status) != 0) {
        log_error("Worker (pid:%d) exited with code %d.", (int)child->pid, WEXITSTATUS(status));
    }
}

void
obituary_write(struct arbiter *a, struct child *child, int status, const struct rusage *usage)
{
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    bool hungry = killed && !was_sent(child, SIGKILL) && oom_counter_grew(&a->oom);

    obituary_look(child);
    write_headline(child, status, hungry);
    if (has_obeyed(a, child, status)) {
        return;
    }
    bool gentle = WIFSIGNALED(status) ? WTERMSIG(status) == SIGTERM
                                      : WEXITSTATUS(status) == 0 && has_foreign_signal(child);
    write_details(child, gentle ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, status, hungry, usage);
    write_panic(child);
    obituary_write_request(child);
    write_stacks(child);
}
