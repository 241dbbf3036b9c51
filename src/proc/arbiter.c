/* SPDX-License-Identifier: MIT */
#include "proc/arbiter.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/panic.h"
#include "config/config.h"
#include "log/log.h"
#include "proc/backlog.h"
#include "proc/manage.h"
#include "proc/notify.h"
#include "proc/recycle.h"
#include "proc/reexec.h"
#include "proc/reload.h"
#include "proc/signals.h"
#include "proc/sockets.h"
#include "proc/startup.h"
#include "proc/title.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WAIT_MAX_MS = 1000, /* heartbeats are looked at so often */
};

/* A turn that begins so late is no accident of scheduling. */
static const int64_t OVERSLEPT_NS = NS_PER_SEC / 4;

/* After INT or QUIT in a graceful stop, and after KILL. */
static const int64_t QUICK_STOP_NS = 2 * NS_PER_SEC;

void
arbiter_init(struct arbiter *a, const struct config *cfg)
{
    a->cfg = cfg;
    a->phase = ARBITER_STARTING;
    a->signal_fd = -1;
    a->notify_fds[0] = a->notify_fds[1] = -1;
    a->alive_fds[0] = a->alive_fds[1] = -1;
    a->predecessor_fd = -1;
    list_init(&a->children);
    oom_counter_init(&a->oom);
    stacks_answer_init(&a->answer);
    panic_prepare();
    mailboxes_init(&a->mailboxes);
    lobby_init(a);
}

void
arbiter_fini(struct arbiter *a)
{
    sockets_close(a);
    pidfile_remove(&a->pidfile);
    signals_stop();
    for (int i = 0; i < 2; i++) {
        fd_close(&a->notify_fds[i]);
        fd_close(&a->alive_fds[i]);
    }
    while (!list_empty(&a->children)) {
        spawn_forget(a, LIST_ENTRY(list_first(&a->children), struct child, node));
    }
    mailboxes_fini(&a->mailboxes);
    lobby_fini(a);
    slots_fini(&a->slots);
    oom_counter_fini(&a->oom);
    stacks_answer_fini(&a->answer);
    reexec_fini(a);
    free(a->error);
    a->error = NULL;
    free(a->reason);
    a->reason = NULL;
}

const char *
arbiter_name(const struct arbiter *a)
{
    return a->predecessor_pid == 0 ? "Master" : "Master.2";
}

void
arbiter_set_title(const struct arbiter *a, const char *role)
{
    char *title = mem_printf("%s: %s [%s%s]", a->program, role, config_proc_name(a->cfg),
                             a->predecessor_pid == 0 ? "" : ".2");
    if (a->host->set_title) {
        a->host->set_title(a->context, title);
    } else {
        title_set("%s", title);
    }
    free(title);
}

int
arbiter_set_target(struct arbiter *a, int64_t target)
{
    int64_t old = a->phase == ARBITER_STARTING ? -1 : a->target;
    if (target == old) {
        return 0;
    }
    a->target = target;
    return a->host->nworkers_changed(a->context, target, old);
}

/* --- start --- */

int
arbiter_start(struct arbiter *a)
{
    a->exit_code = EXIT_CONFIG_ERROR; /* of whatever fails now */
    int rc = startup(a);
    if (rc < 0) {
        return rc;
    }
    a->exit_code = 0;
    a->phase = ARBITER_RUNNING;
    a->awake_ns = clock_mono_ns();
    a->generation = 1;
    return 0;
}

/* --- stop --- */

void
arbiter_fail(struct arbiter *a)
{
    int code = a->host->report(a->context);
    if (a->phase == ARBITER_STOPPING) {
        if (a->exit_code == 0) { /* the first failure counts; from here on as in Gunicorn */
            a->exit_code = code == EXIT_UNHANDLED ? EXIT_CONFIG_ERROR : code;
        }
    } else {
        arbiter_stop(a, SIGQUIT, code, NULL);
    }
}

void
arbiter_stop(struct arbiter *a, int signal_number, int exit_code, const char *reason)
{
    if (a->phase != ARBITER_RUNNING) {
        return;
    }
    a->phase = ARBITER_STOPPING;
    a->exit_code = exit_code;
    if (reason) {
        free(a->reason);
        a->reason = mem_strdup(reason);
    }
    a->stop_deadline_ns = clock_mono_ns() + clock_seconds(a->cfg->graceful_timeout);
    notify_stopping(a);
    slots_set_stopping(&a->slots);
    sockets_close(a);
    int rc = a->host->listeners_changed(a->context);
    (void)rc; /* only the list that hooks see */
    manage_signal_all(a, signal_number);
}

/* TERM. With shutdown_delay the workers serve on for a while, because load balancers still send
 * connections. If there is a successor they serve on until that serves too. A second signal ends
 * either. */
static void
begin_stop(struct arbiter *a)
{
    int64_t seconds = a->cfg->shutdown_delay;
    if (a->successor_pid != 0) {
        seconds = a->lobby.answered ? 0 : a->cfg->graceful_timeout;
    }
    if (seconds == 0 || a->stop_at_ns != 0) {
        arbiter_stop(a, SIGTERM, 0, NULL);
        return;
    }
    a->stop_at_ns = clock_mono_ns() + clock_seconds(seconds);
    a->stop_after_upgrade = a->successor_pid != 0;
    if (a->stop_after_upgrade) {
        log_info("Serving until the arbiter of the upgrade does (pid:%d)", (int)a->successor_pid);
        return;
    }
    log_info("Accepting connections for %lld s more (shutdown_delay)", (long long)seconds);
    notify_stopping(a);
}

static bool
is_time_to_stop(const struct arbiter *a, int64_t now_ns)
{
    bool upgraded = a->stop_after_upgrade && (a->lobby.answered || a->successor_pid == 0);
    return a->stop_at_ns != 0 && (now_ns >= a->stop_at_ns || upgraded);
}

static void
hurry(struct arbiter *a)
{
    log_info("Quick shutdown requested");
    manage_signal_all(a, SIGQUIT);
    a->stop_deadline_ns = MIN_OF(a->stop_deadline_ns, clock_mono_ns() + QUICK_STOP_NS);
}

static void
finish(struct arbiter *a)
{
    int level = a->exit_code == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR;

    log_printf(level, "Shutting down: %s", arbiter_name(a));
    if (a->reason) {
        log_printf(level, "Reason: %s", a->reason);
    }
    pidfile_remove(&a->pidfile);
    a->phase = ARBITER_ENDED;
    if (a->host->call_hook(a->context, HOOK_ON_EXIT, NULL) < 0) {
        int code = a->host->report(a->context);
        a->exit_code = code == EXIT_UNHANDLED ? EXIT_CONFIG_ERROR : code;
    }
}

static void
progress_stop(struct arbiter *a, int64_t now_ns)
{
    if (list_empty(&a->children) || (a->killed && now_ns >= a->stop_deadline_ns)) {
        finish(a);
    } else if (now_ns >= a->stop_deadline_ns) {
        if (!a->killed) {
            log_warning("Workers have not ended within the time they had: killing them");
        }
        manage_kill_all(a, now_ns);
        a->killed = true;
        a->stop_deadline_ns = now_ns + QUICK_STOP_NS;
    }
}

/* --- signals --- */

static int
on_ttou(struct arbiter *a)
{
    return a->target > 1 ? arbiter_set_target(a, a->target - 1) : 0;
}

static int
on_winch(struct arbiter *a)
{
    if (!a->daemonized) {
        log_debug("SIGWINCH ignored. Not daemonized");
        return 0;
    }
    log_info("graceful stop of workers");
    return arbiter_set_target(a, 0);
}

static int
on_usr1(const struct arbiter *a)
{
    a->host->reopen_logs(a->context);
    manage_signal_all(a, SIGUSR1);
    return 0;
}

int
arbiter_act(struct arbiter *a, int number)
{
    switch (number) {
    case SIGTERM:
        begin_stop(a);
        return 0;
    case SIGINT:
    case SIGQUIT:
        arbiter_stop(a, SIGQUIT, 0, NULL);
        return 0;
    case SIGHUP:
        a->reload_wanted = true;
        return 0;
    case SIGTTIN:
        return arbiter_set_target(a, a->target + 1);
    case SIGTTOU:
        return on_ttou(a);
    case SIGUSR1:
        return on_usr1(a);
    case SIGUSR2:
        return reexec_start(a);
    case SIGWINCH:
        return on_winch(a);
    default:
        return 0; /* SIGCHLD: every turn reaps */
    }
}

static int
act_on(struct arbiter *a, int number)
{
    return a->host->act ? a->host->act(a->context, number) : arbiter_act(a, number);
}

static void
take_signals(struct arbiter *a)
{
    for (int number = signals_next(); number > 0; number = signals_next()) {
        log_printf(number == SIGCHLD ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "Handling signal: %s",
                   signals_short_name(number));
        if (number == signals_stacks()) {
            stacks_answer_begin(a, signals_sender());
        } else if (a->phase == ARBITER_RUNNING) {
            if (act_on(a, number) < 0) {
                arbiter_fail(a);
            }
        } else if (number == SIGTERM || number == SIGINT || number == SIGQUIT) {
            hurry(a);
        } else if (number == SIGUSR1) {
            on_usr1(a);
        }
    }
}

/* --- the loop --- */

static void
drain_notifications(const struct arbiter *a)
{
    char bytes[256];
    while (read(a->notify_fds[0], bytes, sizeof(bytes)) > 0) {
    }
}

static void
balance(struct arbiter *a)
{
    if (!a->host->manage) {
        manage_balance(a, clock_mono_ns());
    } else if (a->host->manage(a->context) < 0) {
        arbiter_fail(a);
    }
}

bool
arbiter_turn(struct arbiter *a)
{
    int64_t now_ns = clock_mono_ns();

    int64_t lost_ns = now_ns - a->awake_ns - a->wait_ns;
    if (lost_ns > OVERSLEPT_NS) {
        manage_excuse(a, lost_ns, now_ns);
    }
    a->awake_ns = now_ns;
    a->wait_ns = 0;
    drain_notifications(a);
    take_signals(a);
    manage_reap(a, now_ns);
    mailboxes_forward(&a->mailboxes, &a->slots);
    manage_look(a, now_ns);
    lobby_look(a); /* which tells the predecessor if a worker has become ready */
    stacks_answer_look(a);
    reexec_look(a);
    if (is_time_to_stop(a, now_ns)) {
        arbiter_stop(a, SIGTERM, 0, NULL);
    }
    if (a->phase == ARBITER_RUNNING) {
        manage_punish(a, now_ns);
        recycle_look(a, now_ns);
        reload_serve(a);
    }
    if (a->phase == ARBITER_RUNNING) {
        balance(a);
        backlog_report(a, now_ns);
    }
    if (a->phase == ARBITER_STOPPING) {
        progress_stop(a, clock_mono_ns());
    }
    notify_look(a, clock_mono_ns());
    return a->phase != ARBITER_ENDED;
}

static int
wait_ms(const struct arbiter *a)
{
    int64_t next_ns = a->phase == ARBITER_STOPPING ? a->stop_deadline_ns : manage_next_ns(a);
    next_ns = MIN_OF(next_ns, notify_next_ns(a));
    if (a->stop_at_ns != 0 && a->phase == ARBITER_RUNNING) {
        next_ns = MIN_OF(next_ns, a->stop_at_ns);
    }
    next_ns = MIN_OF(next_ns, stacks_next_ns(a));
    int64_t now_ns = clock_mono_ns();
    if (next_ns <= now_ns) {
        return 0;
    }
    int64_t ms = (next_ns - now_ns) / NS_PER_MS;
    return ms >= WAIT_MAX_MS ? WAIT_MAX_MS : (int)ms + 1;
}

void
arbiter_wait(struct arbiter *a)
{
    struct pollfd pollfds[] = {
        {.fd = a->signal_fd, .events = POLLIN},      {.fd = a->notify_fds[0], .events = POLLIN},
        {.fd = a->predecessor_fd, .events = POLLIN}, {.fd = lobby_answer_fd(a), .events = POLLIN},
        {.fd = lobby_mail_fd(a), .events = POLLIN},
    };
    int timeout_ms = wait_ms(a);
    a->wait_ns = timeout_ms * NS_PER_MS;
    poll(pollfds, ARRAY_LEN(pollfds), timeout_ms);
}
