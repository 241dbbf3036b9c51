/* SPDX-License-Identifier: MIT */
/*
 * The rule by which workers come and go.
 *
 * A worker is *current* if it is of the latest generation and does not ask to be replaced,
 * *outdated* if not, and *leaving* once it has been told to go or goes by itself; those that are
 * leaving do not count. In manage_balance():
 *
 *   1. While fewer than `target` workers are current, start one; but only as long as there are not
 *      more than `target` and reload_batch workers, current and outdated, so that to replace them
 *      all does not double the load of the machine.
 *   2. While more than `target` workers are ready, the oldest outdated one, or else the oldest, is
 *      told to go.
 *
 * So the start, a reload, max_requests, age, memory, a crash, TTIN and TTOU are all the same thing,
 * and no worker leaves before its successor is ready.
 *
 * Workers that fail before they are ready make the next start wait, twice as long each time, and
 * one after the other. While no current worker is ready, and so nobody knows whether the code can
 * be started at all, only PIONEERS_MAX boot at once: with them and the back-off there are never
 * more than ten forks in 30 seconds of code that cannot.
 */
#include "proc/manage.h"

#include "base/clock.h"
#include "config/config.h"
#include "log/log.h"
#include "proc/arbiter.h"
#include "proc/recycle.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum {
    PIONEERS_MAX = 5,
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_DOUBLINGS = 5, /* up to 32 s */
};

/* From ABRT to KILL, and what a worker gets beyond graceful_timeout, which it watches itself. */
static const int64_t GRACE_NS = NS_PER_SEC;

/* From the deadline of a request, when its application is interrupted, to the end of the worker. */
static const int64_t REQUEST_GRACE_NS = 5 * NS_PER_SEC;

struct child *
child_at(struct list *node)
{
    return LIST_ENTRY(node, struct child, node);
}

struct child *
child_find(const struct arbiter *a, pid_t pid)
{
    for (EACH_CHILD(a, node, next)) {
        if (child_at(node)->pid == pid) {
            return child_at(node);
        }
    }
    return NULL;
}

static bool
is_current(const struct arbiter *a, const struct child *child)
{
    return !child->leaving && !child->wants_to_go && child->generation == a->generation;
}

struct census {
    int64_t current; /* booting ones included */
    int64_t outdated;
    int64_t booting; /* current ones that are */
    int64_t ready;   /* current and outdated */
};

static struct census
take_census(const struct arbiter *a)
{
    struct census n = {0};
    for (EACH_CHILD(a, node, next)) {
        const struct child *child = child_at(node);
        if (child->leaving) {
            continue;
        }
        bool current = is_current(a, child);
        n.current += current;
        n.outdated += !current;
        n.booting += current && !child->ready;
        n.ready += child->ready;
    }
    return n;
}

bool
manage_in_transition(const struct arbiter *a)
{
    for (EACH_CHILD(a, node, next)) {
        const struct child *child = child_at(node);
        if (!child->leaving && (child->generation != a->generation || !child->ready)) {
            return true;
        }
    }
    return false;
}

void
manage_signal(struct child *child, int signal_number)
{
    if (signal_number < 64) {
        child->sent |= UINT64_C(1) << signal_number;
    }
    /* ESRCH: it is gone, and will be reaped. */
    (void)!kill(child->pid, signal_number);
}

void
manage_signal_all(const struct arbiter *a, int signal_number)
{
    for (EACH_CHILD(a, node, next)) {
        manage_signal(child_at(node), signal_number);
    }
}

/* --- boots that fail --- */

static void
back_off(struct arbiter *a, int64_t now_ns)
{
    int doublings = MIN_OF((int)a->boot_failures, BACKOFF_DOUBLINGS);
    int64_t wait_ms = (int64_t)BACKOFF_FIRST_MS << doublings;

    a->boot_failures++;
    a->failed_ns = now_ns;
    a->spawn_not_before_ns = now_ns + wait_ms * NS_PER_MS;
    log_error("Worker failed to boot; the next attempt is made in %d s.", (int)(wait_ms / 1000));
}

/* One of several that failed together counts. */
static void
note_boot_failure(struct arbiter *a, const struct child *child, bool from_outside, int64_t now_ns)
{
    if (child->forked_ns < a->failed_ns) {
        return;
    }
    if (a->boot_failures == 0 && from_outside) {
        a->boot_failures = 1; /* the next one waits, if it fails too */
        a->failed_ns = now_ns;
    } else {
        back_off(a, now_ns);
    }
}

/* --- looking --- */

/* Of a worker that is to leave; one that is being ended has its own. */
static int64_t
graceful_deadline(const struct arbiter *a, const struct child *child, int64_t now_ns)
{
    if (child->aborted) {
        return child->kill_at_ns;
    }
    return now_ns + clock_seconds(a->cfg->graceful_timeout) + GRACE_NS;
}

static void
look_at(struct arbiter *a, struct child *child, int64_t now_ns)
{
    enum slot_state state = slot_state(child->slot);

    if (!child->ready && slot_was_ready(child->slot)) {
        child->ready = true;
        a->ever_ready = true;
        recycle_begin(a, child, now_ns);
        if (child->generation == a->generation) {
            a->boot_failures = 0;
            a->spawn_not_before_ns = 0;
        }
    }
    if (state == SLOT_RETIRING) {
        child->wants_to_go = true;
    }
    if (!child->leaving && state == SLOT_DRAINING) {
        if (!child->ready && a->phase == ARBITER_RUNNING) {
            note_boot_failure(a, child, true, now_ns); /* told to go, but not by the arbiter */
        }
        child->leaving = true;
        child->kill_at_ns = graceful_deadline(a, child, now_ns);
    }
    obituary_look(child);
}

void
manage_look(struct arbiter *a, int64_t now_ns)
{
    for (EACH_CHILD(a, node, next)) {
        struct child *child = child_at(node);
        look_at(a, child, now_ns);
        stacks_look(a, child, now_ns);
        mailboxes_settle(&a->mailboxes, &a->slots, slot_index(&a->slots, child->slot), &child->mail,
                         now_ns);
    }
}

/* --- punishing --- */

void
manage_punish_child(struct child *child, int signal_number, int64_t now_ns)
{
    child->kill_at_ns = now_ns + GRACE_NS;
    manage_signal(child, signal_number);
}

/* What it is doing goes into the log before it gets the signal. */
static void
end_child(struct child *child, int signal_number, int64_t now_ns)
{
    child->aborted = true;
    child->kill_at_ns = INT64_MAX; /* not yet */
    stacks_ask_before(child, signal_number, now_ns);
}

void
manage_kill_all(const struct arbiter *a, int64_t now_ns)
{
    for (EACH_CHILD(a, node, next)) {
        end_child(child_at(node), SIGKILL, now_ns);
    }
}

/* How long a worker may boot; INT64_MAX: as long as it likes. */
static int64_t
boot_limit_ns(const struct config *cfg)
{
    int64_t limit_ns = cfg->boot_timeout > 0 ? clock_seconds(cfg->boot_timeout) : INT64_MAX;
    if (cfg->boot_within_timeout && cfg->timeout > 0) {
        limit_ns = MIN_OF(limit_ns, clock_seconds(cfg->timeout));
    }
    return limit_ns;
}

void
manage_excuse(struct arbiter *a, int64_t lost_ns, int64_t now_ns)
{
    for (EACH_CHILD(a, node, next)) {
        struct child *child = child_at(node);
        int64_t heartbeat_ns = slot_last_heartbeat(child->slot);
        if (child->stall.resumed_ns == 0 || child->stall.heartbeat_ns != heartbeat_ns) {
            child->stall = (struct stall){.resumed_ns = now_ns, .heartbeat_ns = heartbeat_ns};
        } else {
            child->stall.more_ns += lost_ns;
        }
    }
}

/* When the child has had so long since then. After a stall it has all the time again, so that it
 * can show that it lives. If it does not, further stalls only put that off by what they took: a
 * worker that hangs must not live on because the machine is slow. */
static int64_t
allowed_ns(const struct child *child, int64_t since_ns, int64_t limit_ns)
{
    const struct stall *stall = &child->stall;
    bool silent = stall->heartbeat_ns == slot_last_heartbeat(child->slot);
    return MAX_OF(since_ns, stall->resumed_ns) + limit_ns + (silent ? stall->more_ns : 0);
}

/* When its request has had the time to end after it was told to. */
static int64_t
request_late_ns(const struct child *child)
{
    int64_t deadline_ns = slot_request_deadline(child->slot);
    return deadline_ns > 0 ? allowed_ns(child, deadline_ns, REQUEST_GRACE_NS) : INT64_MAX;
}

/* When the child is late if nothing changes; INT64_MAX: never. */
static int64_t
late_ns(const struct arbiter *a, const struct child *child)
{
    if (child->kill_at_ns != 0) {
        return child->kill_at_ns;
    }
    if (!child->ready) {
        int64_t limit_ns = boot_limit_ns(a->cfg);
        return limit_ns == INT64_MAX ? INT64_MAX : allowed_ns(child, child->forked_ns, limit_ns);
    }
    int64_t late_ns = request_late_ns(child);
    if (a->cfg->timeout > 0) {
        int64_t seen_ns = slot_last_heartbeat(child->slot);
        late_ns = MIN_OF(late_ns, allowed_ns(child, seen_ns, clock_seconds(a->cfg->timeout)));
    }
    return late_ns;
}

static void
punish(struct child *child, int64_t now_ns)
{
    if (child->kill_at_ns != 0 && child->aborted) {
        log_warning("Worker (pid:%d) has not ended when told to: killing it", (int)child->pid);
        manage_signal(child, SIGKILL);
        child->kill_at_ns = now_ns + GRACE_NS; /* should it survive even that: again */
    } else if (child->kill_at_ns != 0) {
        log_warning("Worker graceful timeout (pid:%d)", (int)child->pid);
        end_child(child, SIGKILL, now_ns);
    } else if (!child->ready) {
        log_critical("WORKER BOOT TIMEOUT (pid:%d)", (int)child->pid);
        end_child(child, SIGABRT, now_ns);
    } else if (now_ns >= request_late_ns(child)) {
        log_critical("REQUEST TIMEOUT (pid:%d)", (int)child->pid);
        end_child(child, SIGABRT, now_ns);
    } else {
        log_critical("WORKER TIMEOUT (pid:%d)", (int)child->pid);
        end_child(child, SIGABRT, now_ns);
    }
}

void
manage_punish(struct arbiter *a, int64_t now_ns)
{
    for (EACH_CHILD(a, node, next)) {
        struct child *child = child_at(node);
        if (now_ns >= late_ns(a, child)) {
            punish(child, now_ns);
        }
    }
}

int64_t
manage_next_ns(const struct arbiter *a)
{
    int64_t next_ns = a->spawn_not_before_ns > 0 ? a->spawn_not_before_ns : INT64_MAX;
    next_ns = MIN_OF(next_ns, recycle_next_ns(a));
    for (EACH_CHILD(a, node, next)) {
        next_ns = MIN_OF(next_ns, late_ns(a, child_at(node)));
    }
    return next_ns;
}

/* --- reaping --- */

/* The signal may have been sent by somebody, and nothing be wrong with the worker. */
static bool
is_ended_from_outside(const struct child *child, int status)
{
    static const int signals[] = {SIGKILL, SIGTERM, SIGINT, SIGQUIT, SIGHUP};
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        if (WIFSIGNALED(status) && WTERMSIG(status) == signals[i]) {
            return !child->aborted;
        }
    }
    return false;
}

/* A first boot that fails for a reason that will not go away ends the server. */
static void
judge_boot_failure(struct arbiter *a, const struct child *child, int status, int64_t now_ns)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    bool fatal = code == EXIT_WORKER_BOOT_ERROR || code == EXIT_APP_LOAD_ERROR;

    if (a->phase != ARBITER_RUNNING) {
        return;
    }
    if (a->ever_ready || !fatal) {
        note_boot_failure(a, child, is_ended_from_outside(child, status), now_ns);
    } else {
        arbiter_stop(a, SIGTERM, code,
                     code == EXIT_WORKER_BOOT_ERROR ? "Worker failed to boot."
                                                    : "App failed to load.");
    }
}

/* `usage` is NULL if nothing is known of its end. */
static void
bury(struct arbiter *a, struct child *child, int status, const struct rusage *usage, int64_t now_ns)
{
    child->buried = true;
    look_at(a, child, now_ns); /* it may have been ready for a moment */
    if (usage) {
        obituary_write(a, child, status, usage);
    } else {
        log_warning("Worker (pid:%d) has ended, and somebody else, perhaps a hook, has waited for"
                    " it: how it ended is unknown",
                    (int)child->pid);
    }
    if (!child->ready && !child->leaving) {
        judge_boot_failure(a, child, status, now_ns);
    }
    int rc = a->host->call_hook(a->context, HOOK_CHILD_EXIT, child);
    spawn_forget(a, child);
    if (rc < 0) {
        arbiter_fail(a);
    }
}

static void
bury_stranger(struct arbiter *a, pid_t pid, int status)
{
    if (pid == a->successor_pid) {
        a->successor_pid = 0;
        log_info("The arbiter of the upgrade (pid:%d) has ended.", (int)pid);
        return;
    }
    log_debug("Reaped unknown child process (pid:%d, status:%d)", (int)pid, status);
}

/* Its pid may be another process's by now: it must get no signal. */
static bool
is_lost(const struct child *child)
{
    siginfo_t info;
    int rc = waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    return rc < 0 && errno == ECHILD;
}

static struct child *
find_lost(const struct arbiter *a)
{
    for (EACH_CHILD(a, node, next)) {
        if (!child_at(node)->buried && is_lost(child_at(node))) {
            return child_at(node);
        }
    }
    return NULL;
}

void
manage_reap(struct arbiter *a, int64_t now_ns)
{
    int status = 0;
    struct rusage usage;
    for (pid_t pid = wait4(-1, &status, WNOHANG, &usage); pid > 0;
         pid = wait4(-1, &status, WNOHANG, &usage)) {
        struct child *child = child_find(a, pid);
        if (child) {
            bury(a, child, status, &usage, now_ns);
        } else {
            bury_stranger(a, pid, status);
        }
    }
    /* From the beginning each time: a hook may have reaped others. */
    for (struct child *lost = find_lost(a); lost; lost = find_lost(a)) {
        bury(a, lost, 0, NULL, now_ns);
    }
}

/* --- balancing --- */

/* How many workers the rule wants to be started now, back-off aside. */
static int64_t
count_missing(const struct arbiter *a, const struct census *n)
{
    int64_t missing = a->target - n->current;
    int64_t batch = MIN_OF(a->cfg->reload_batch, INT32_MAX);

    if (batch > 0) {
        missing = MIN_OF(missing, a->target + batch - n->current - n->outdated);
    }
    if (n->current == n->booting) {
        missing = MIN_OF(missing, PIONEERS_MAX - n->booting);
    }
    return missing;
}

static int
spawn(struct arbiter *a, int64_t now_ns)
{
    return a->host->spawn ? a->host->spawn(a->context, now_ns) : spawn_worker(a, now_ns);
}

static void
spawn_some(struct arbiter *a, int64_t now_ns)
{
    struct census n = take_census(a);
    int64_t missing = count_missing(a, &n);

    if (a->boot_failures > 0) {
        if (now_ns < a->spawn_not_before_ns) {
            return;
        }
        a->spawn_not_before_ns = 0;
        missing = MIN_OF(missing, 1 - n.booting);
    }
    for (int64_t i = 0; i < missing; i++) {
        int rc = spawn(a, now_ns);
        if (rc == -ECANCELED) {
            arbiter_fail(a);
            return;
        }
        if (rc < 0) {
            log_error("Can't start a worker: %s", strerror(-rc));
            back_off(a, now_ns);
            return;
        }
    }
}

/* Of those that count: the oldest outdated one, or else the oldest. */
static struct child *
choose_oldest(const struct arbiter *a)
{
    struct child *oldest = NULL;
    for (EACH_CHILD(a, node, next)) {
        struct child *child = child_at(node);
        if (child->leaving) {
            continue;
        }
        if (!is_current(a, child)) {
            return child;
        }
        oldest = oldest ? oldest : child;
    }
    return oldest;
}

void
manage_retire(const struct arbiter *a, struct child *child, int64_t now_ns)
{
    child->leaving = true;
    child->kill_at_ns = graceful_deadline(a, child, now_ns);
    manage_signal(child, SIGTERM);
}

static void
retire_some(const struct arbiter *a, int64_t now_ns)
{
    while (take_census(a).ready > a->target) {
        manage_retire(a, choose_oldest(a), now_ns);
    }
}

void
manage_balance(struct arbiter *a, int64_t now_ns)
{
    retire_some(a, now_ns);
    spawn_some(a, now_ns);
    int64_t count = take_census(a).current;
    if (count != a->announced) {
        a->announced = count;
        const struct log_metric metric = {"gunicorn.workers", "gauge", count};
        log_metric(&metric, "%d workers", (int)count);
    }
}
