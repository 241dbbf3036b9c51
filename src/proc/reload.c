/* SPDX-License-Identifier: MIT */
#include "proc/reload.h"

#include "base/mem.h"
#include "config/config.h"
#include "config/setting.h"
#include "log/log.h"
#include "proc/arbiter.h"
#include "proc/manage.h"
#include "proc/notify.h"
#include "proc/sockets.h"

#include <stdlib.h>
#include <string.h>

static void
mention_fixed_settings(const struct config *old, const struct config *new)
{
    for (int id = 0; id < SETTINGS_COUNT; id++) {
        const struct setting *setting = setting_get((enum setting_id)id);
        if (setting->reloadable) {
            continue;
        }
        char *before = config_render(old, (enum setting_id)id);
        char *after = config_render(new, (enum setting_id)id);
        if (strcmp(before, after) != 0) {
            log_warning("The new value of %s needs a restart: %s", setting->name, after);
        }
        free(before);
        free(after);
    }
}

static void
change_pidfile(struct arbiter *a, const struct config *cfg)
{
    char *error = NULL;
    char *path = NULL;
    if (cfg->pidfile) {
        path = mem_printf("%s%s", cfg->pidfile, a->predecessor_pid == 0 ? "" : ".2");
    }
    if (pidfile_move(&a->pidfile, path, &error) < 0) {
        log_error("%s", error);
        free(error);
    }
    free(path);
}

static void
announce(const struct arbiter *a)
{
    char *addresses = sockets_describe(a);
    log_info("Listening at: %s", addresses);
    free(addresses);
}

/* From here on the new configuration holds. -ECANCELED if a hook raised. */
static int
adopt(struct arbiter *a, const struct config *cfg, bool listeners_changed)
{
    mention_fixed_settings(a->cfg, cfg);
    change_pidfile(a, cfg);
    a->cfg = cfg;
    a->host->reload_done(a->context, true);
    if (listeners_changed) {
        announce(a);
        int rc = a->host->listeners_changed(a->context);
        if (rc < 0) {
            return rc;
        }
    }
    arbiter_set_title(a, "master");
    int rc = a->host->call_hook(a->context, HOOK_ON_RELOAD, NULL);
    if (rc < 0) {
        return rc;
    }
    a->generation++;
    a->boot_failures = 0;
    a->spawn_not_before_ns = 0;
    return arbiter_set_target(a, cfg->workers);
}

void
reload_serve(struct arbiter *a)
{
    const struct config *cfg = NULL;

    if (!a->reload_wanted || (manage_in_transition(a) && a->boot_failures == 0)) {
        return;
    }
    a->reload_wanted = false;
    log_info("Hang up: %s", arbiter_name(a));
    notify_reloading(a);
    if (a->host->reload(a->context, &cfg) < 0) {
        log_error("The configuration could not be read; everything stays as it was.");
        return;
    }
    int rc = sockets_change(a, cfg);
    if (rc < 0) {
        a->host->reload_done(a->context, false);
        log_error("A new address cannot be used; everything stays as it was.");
        return;
    }
    if (adopt(a, cfg, rc > 0) < 0) {
        arbiter_fail(a);
    }
}
