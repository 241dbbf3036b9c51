/* SPDX-License-Identifier: MIT */
#include "proc/notify.h"

#include "base/clock.h"
#include "base/mem.h"
#include "config/config.h"
#include "log/limit.h"
#include "log/log.h"
#include "proc/arbiter.h"
#include "proc/manage.h"
#include "proc/systemd.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STATE_MAX = 512, US_PER_SEC = 1000000 };

static const int64_t SPARE_NS = 5 * NS_PER_SEC;

static void PRINTF_LIKE(2, 3) say(const struct arbiter *a, const char *format, ...)
{
    static struct log_limit limit;
    char state[STATE_MAX];
    va_list args;

    if (a->predecessor_pid != 0) {
        return;
    }
    va_start(args, format);
    vsnprintf(state, sizeof(state), format, args);
    va_end(args);
    int rc = systemd_notify(state);
    if (rc < 0) {
        log_limited(&limit, LOG_LEVEL_WARNING, "Can't notify systemd: %s", strerror(-rc));
    }
}

/* What the settings allow, and some. */
static long long
allowed_us(int64_t seconds, int64_t more_seconds)
{
    int64_t ns = clock_seconds(seconds) + clock_seconds(more_seconds) + SPARE_NS;
    return ns / (NS_PER_SEC / US_PER_SEC);
}

void
notify_init(struct arbiter *a)
{
    a->notify.watchdog_ns = systemd_watchdog_us() * (NS_PER_SEC / US_PER_SEC) / 2;
}

void
notify_starting(const struct arbiter *a)
{
    if (a->cfg->boot_timeout > 0) { /* 0 is forever, which the manager need not wait */
        say(a, "STATUS=%s workers boot\nEXTEND_TIMEOUT_USEC=%lld\n", a->program,
            allowed_us(a->cfg->boot_timeout, 0));
    }
}

void
notify_reloading(struct arbiter *a)
{
    a->notify.reloading = true;
    a->notify.generation = a->generation;
    say(a, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=%s arbiter reloads\n",
        (long long)(clock_mono_ns() / (NS_PER_SEC / US_PER_SEC)), a->program);
}

void
notify_stopping(struct arbiter *a)
{
    if (a->notify.stopping) {
        return;
    }
    a->notify.stopping = true;
    if (a->successor_pid != 0) {
        say(a, "MAINPID=%d\nSTATUS=%s arbiter leaves its place to the upgrade\n",
            (int)a->successor_pid, a->program);
        return;
    }
    say(a, "STOPPING=1\nSTATUS=%s arbiter stops\nEXTEND_TIMEOUT_USEC=%lld\n", a->program,
        allowed_us(a->cfg->shutdown_delay, a->cfg->graceful_timeout));
}

void
notify_promoted(struct arbiter *a)
{
    a->notify.ready = false; /* its predecessor said it, not this process */
    say(a, "MAINPID=%d\nSTATUS=%s arbiter promoted\n", (int)getpid(), a->program);
}

static void
look_for_end_of_reload(struct arbiter *a)
{
    struct notify *n = &a->notify;
    bool failing = a->boot_failures > 0;

    if (!n->reloading || a->reload_wanted || (manage_in_transition(a) && !failing)) {
        return;
    }
    n->reloading = false;
    const char *result = "reloaded";
    if (n->generation == a->generation) {
        result = "could not reload: everything stays as it was";
    } else if (failing) {
        result = "reloaded, but the new workers fail to boot";
    }
    say(a, "READY=1\nSTATUS=%s arbiter %s\n", a->program, result);
}

void
notify_look(struct arbiter *a, int64_t now_ns)
{
    struct notify *n = &a->notify;

    if (a->predecessor_pid != 0) {
        return;
    }
    if (n->watchdog_ns > 0 && now_ns >= n->watchdog_next_ns) {
        n->watchdog_next_ns = now_ns + n->watchdog_ns;
        say(a, "WATCHDOG=1\n");
    }
    if (a->phase != ARBITER_RUNNING || n->stopping) {
        return;
    }
    if (!n->ready && (a->ever_ready || a->target == 0)) {
        n->ready = true;
        say(a, "READY=1\nSTATUS=%s arbiter booted\n", a->program);
    }
    look_for_end_of_reload(a);
}

int64_t
notify_next_ns(const struct arbiter *a)
{
    const struct notify *n = &a->notify;
    return n->watchdog_ns > 0 && a->predecessor_pid == 0 ? n->watchdog_next_ns : INT64_MAX;
}
