/* SPDX-License-Identifier: MIT */
#include "proc/startup.h"

#include "base/fd.h"
#include "base/mem.h"
#include "config/config.h"
#include "config/setting.h"
#include "log/log.h"
#include "proc/arbiter.h"
#include "proc/daemon.h"
#include "proc/notify.h"
#include "proc/privileges.h"
#include "proc/reexec.h"
#include "proc/signals.h"
#include "proc/sockets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OTHER_FILES = 64 }; /* what a worker has open besides its connections */

static void
log_configuration(const struct config *cfg)
{
    if (!log_enabled(LOG_LEVEL_DEBUG)) {
        return;
    }
    char *text = mem_strdup("Current configuration:");
    for (int id = 0; id < SETTINGS_COUNT; id++) {
        char *value = config_render(cfg, (enum setting_id)id);
        char *longer =
            mem_printf("%s\n  %s: %s", text, setting_get((enum setting_id)id)->name, value);
        free(value);
        free(text);
        text = longer;
    }
    log_debug("%s", text);
    free(text);
}

/* --- the surroundings --- */

static int
check_tmp_dir(struct arbiter *a)
{
    const char *path = a->cfg->worker_tmp_dir;
    struct stat st;

    if (path && (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))) {
        a->error = mem_printf("worker_tmp_dir '%s' is not a directory.", path);
        return -ENOTDIR;
    }
    return 0;
}

static void
raise_open_files(const struct config *cfg)
{
    int64_t wanted =
        MIN_OF(cfg->worker_connections, INT32_MAX) + OTHER_FILES + mailboxes_wanted(cfg->workers);
    int64_t limit = privileges_raise_open_files((uint64_t)wanted);
    if (limit >= 0 && limit < wanted) {
        log_warning("A worker may open %lld files, which is too few for worker_connections = %lld:"
                    " raise the limit to %lld (ulimit -n, LimitNOFILE= of systemd) or lower"
                    " worker_connections.",
                    (long long)limit, (long long)cfg->worker_connections, (long long)wanted);
    }
}

static int
open_pipes(struct arbiter *a)
{
    int rc = fd_pipe(a->notify_fds);
    if (rc == 0) {
        rc = fd_pipe(a->alive_fds);
    }
    if (rc == 0) {
        rc = slots_init(&a->slots, (size_t)a->cfg->workers);
    }
    if (rc == 0) {
        rc = lobby_open(a);
    }
    if (rc == 0) {
        a->signal_fd = signals_start();
        rc = MIN_OF(a->signal_fd, 0);
    }
    if (rc < 0) {
        a->error = mem_printf("Can't set up the arbiter: %s", strerror(-rc));
    }
    return rc;
}

static int
create_pidfile(struct arbiter *a)
{
    if (!a->cfg->pidfile) {
        return 0;
    }
    const char *suffix = a->predecessor_pid == 0 ? "" : ".2";
    char *path = mem_printf("%s%s", a->cfg->pidfile, suffix);
    int rc = pidfile_create(&a->pidfile, path, &a->error);
    free(path);
    return rc;
}

static int
open_sockets(struct arbiter *a)
{
    struct inheritance inheritance;

    inheritance_init(&inheritance, a->predecessor_pid != 0);
    reexec_clean_env(a);
    int rc = sockets_open(a, &inheritance);
    inheritance_fini(&inheritance);
    return rc < 0 ? rc : a->host->listeners_changed(a->context);
}

static void
announce(struct arbiter *a)
{
    char *addresses = sockets_describe(a);
    const char *class = a->cfg->worker_class.uri;

    log_debug("Arbiter booted");
    log_info("Listening at: %s (%d)", addresses, (int)getpid());
    log_info("Using worker: %s", class ? class : "a class of the configuration");
    notify_starting(a);
    free(addresses);
}

/* --- the steps --- */

/* Before anything is said: what may change the process, and where it says things. */
static int
prepare(struct arbiter *a)
{
    notify_init(a);
    reexec_init(a);
    int rc = a->cfg->daemon ? daemon_detach(a) : 0;
    if (rc < 0) {
        a->error = mem_printf("Can't run in the background: %s", strerror(-rc));
        return rc;
    }
    rc = arbiter_set_target(a, a->cfg->workers);
    if (rc < 0) {
        return rc;
    }
    log_configuration(a->cfg);
    return a->host->preload(a->context);
}

static int
start_serving(struct arbiter *a)
{
    int rc = open_pipes(a);
    if (rc < 0) {
        return rc;
    }
    rc = open_sockets(a);
    if (rc < 0) {
        return rc;
    }
    raise_open_files(a->cfg);
    announce(a);
    rc = a->host->call_hook(a->context, HOOK_WHEN_READY, NULL);
    if (rc < 0) {
        return rc;
    }
    arbiter_set_title(a, "master");
    return 0;
}

int
startup(struct arbiter *a)
{
    int rc = prepare(a);
    if (rc < 0) {
        return rc;
    }
    log_info("Starting %s %s", a->program, a->version);
    rc = check_tmp_dir(a);
    if (rc < 0) {
        return rc;
    }
    rc = create_pidfile(a);
    if (rc < 0) {
        return rc;
    }
    rc = a->host->call_hook(a->context, HOOK_ON_STARTING, NULL);
    if (rc < 0) {
        return rc;
    }
    return start_serving(a);
}
