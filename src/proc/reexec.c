/* SPDX-License-Identifier: MIT */
#include "proc/reexec.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/num.h"
#include "config/config.h"
#include "log/log.h"
#include "proc/arbiter.h"
#include "proc/lobby.h"
#include "proc/notify.h"
#include "proc/signals.h"
#include "proc/sockets.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EXTRA_VARIABLES = 7 };

/* Who was executed: its own pid. GUNICORN_PID says by whom. */
#define SUCCESSOR_VARIABLE "SAOLA_UPGRADE_PID"

/* What one arbiter, or systemd, tells the next; nobody else should see it. */
static const char *const private_variables[] = {
    "GUNICORN_PID", "GUNICORN_FD", "SAOLA_UNLINK_FD", "SAOLA_SYSTEMD",  "SAOLA_LISTENER_ID",
    LOBBY_VARIABLE, "LISTEN_PID",  "LISTEN_FDS",      "LISTEN_FDNAMES", SUCCESSOR_VARIABLE,
};

static bool
is_private(const char *entry)
{
    for (size_t i = 0; i < ARRAY_LEN(private_variables); i++) {
        size_t n = strlen(private_variables[i]);
        if (strncmp(entry, private_variables[i], n) == 0 && entry[n] == '=') {
            return true;
        }
    }
    return false;
}

/* The watchdog will watch the next arbiter too, once it is the main process. */
static bool
is_watchdog_of_this(const struct arbiter *a, const char *entry)
{
    return a->notify.watchdog_ns > 0 && strncmp(entry, "WATCHDOG_PID=", 13) == 0;
}

static char **
copy_environment(const struct arbiter *a)
{
    size_t count = 0;
    size_t kept = 0;
    while (environ && environ[count]) {
        count++;
    }
    char **copy = mem_array(count + EXTRA_VARIABLES + 1, sizeof(*copy));
    for (size_t i = 0; i < count; i++) {
        if (!is_private(environ[i]) && !is_watchdog_of_this(a, environ[i])) {
            copy[kept++] = mem_strdup(environ[i]);
        }
    }
    return copy;
}

/* -1: the kernel has none (before Linux 5.3), or forbids it. */
static int
open_pidfd(pid_t pid)
{
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, pid, 0);
#else
    (void)pid;
    return -1;
#endif
}

/* The pid that a variable holds; 0: none. */
static pid_t
pid_from_env(const char *name)
{
    const char *text = getenv(name);
    uint64_t pid = 0;
    bool valid = text && num_from_dec(span_str(text), &pid) == 0 && pid <= INT_MAX;
    return valid ? (pid_t)pid : 0;
}

void
reexec_init(struct arbiter *a)
{
    pid_t pid = pid_from_env("GUNICORN_PID");

    /* Left over from somewhere, unless it is the parent, or was until it ended: what it has left
     * behind is taken over then, and the first turn promotes this one. */
    if (pid > 0 && (pid == getppid() || pid_from_env(SUCCESSOR_VARIABLE) == getpid())) {
        a->predecessor_pid = pid;
        a->predecessor_fd = open_pidfd(pid);
    }
    a->start_env = copy_environment(a);
}

void
reexec_fini(struct arbiter *a)
{
    for (size_t i = 0; a->start_env && a->start_env[i]; i++) {
        free(a->start_env[i]);
    }
    free(a->start_env);
    a->start_env = NULL;
    fd_close(&a->predecessor_fd);
}

void
reexec_clean_env(struct arbiter *a)
{
    for (size_t i = 0; i < ARRAY_LEN(private_variables); i++) {
        a->host->unset_env(a->context, private_variables[i]);
    }
}

/* start_env has room for EXTRA_VARIABLES. */
static void
add_variables(const struct arbiter *a, pid_t arbiter_pid)
{
    char **end = a->start_env;
    while (*end) {
        end++;
    }
    char *fds = sockets_fd_list(a, false);
    char *owned = sockets_fd_list(a, true);
    char *ids = sockets_id_list(a);
    *end++ = mem_printf("GUNICORN_PID=%d", (int)arbiter_pid);
    *end++ = mem_printf(SUCCESSOR_VARIABLE "=%d", (int)getpid());
    *end++ = mem_printf("GUNICORN_FD=%s", fds);
    *end++ = mem_printf("SAOLA_UNLINK_FD=%s", owned);
    *end++ = mem_printf("SAOLA_LISTENER_ID=%s", ids);
    if (a->systemd) {
        *end++ = mem_strdup("SAOLA_SYSTEMD=1");
    }
    *end = lobby_bequeath(a);
    free(fds);
    free(owned);
    free(ids);
}

static NORETURN void
become_arbiter(struct arbiter *a, pid_t arbiter_pid, const sigset_t *mask)
{
    signals_reset();
    signals_unblock(mask);
    pidfile_fini(&a->pidfile);
    if (a->host->call_hook(a->context, HOOK_PRE_EXEC, NULL) < 0) {
        a->host->report(a->context);
        _exit(EXIT_CONFIG_ERROR);
    }
    add_variables(a, arbiter_pid);
    sockets_bequeath(a);
    if (chdir(a->start_directory) < 0) {
        log_error("Can't change to '%s': %s", a->start_directory, strerror(errno));
    }
    execve(a->command[0], a->command, a->start_env);
    log_error("Can't execute '%s': %s", a->command[0], strerror(errno));
    _exit(EXIT_CONFIG_ERROR);
}

int
reexec_start(struct arbiter *a)
{
    sigset_t mask;

    if (a->successor_pid != 0) {
        log_warning("USR2 signal ignored. Child exists.");
        return 0;
    }
    if (a->predecessor_pid != 0) {
        log_warning("USR2 signal ignored. Parent exists.");
        return 0;
    }
    pid_t arbiter_pid = getpid();
    lobby_expect(a);
    signals_block(&mask);
    pid_t pid = a->host->fork(a->context);
    int err = errno;
    if (pid == 0) {
        become_arbiter(a, arbiter_pid, &mask);
    }
    signals_unblock(&mask);
    if (pid < 0) {
        log_error("Can't fork the arbiter of the upgrade: %s", strerror(err));
    } else {
        a->successor_pid = pid;
    }
    return 0;
}

/* The file of the predecessor would keep its place if that was killed and nobody has waited for it:
 * a zombie has a pid. */
static void
take_over_pidfile(struct arbiter *a, pid_t predecessor_pid)
{
    char *error = NULL;
    if (a->cfg->pidfile && pidfile_owner(a->cfg->pidfile) == predecessor_pid) {
        unlink(a->cfg->pidfile);
    }
    if (pidfile_move(&a->pidfile, a->cfg->pidfile, &error) < 0) {
        log_error("%s", error);
        free(error);
    }
}

void
reexec_look(struct arbiter *a)
{
    if (a->predecessor_pid == 0 || getppid() == a->predecessor_pid) {
        return;
    }
    log_info("Master has been promoted.");
    take_over_pidfile(a, a->predecessor_pid);
    a->predecessor_pid = 0;
    fd_close(&a->predecessor_fd);
    arbiter_set_title(a, "master");
    notify_promoted(a);
}
