/* SPDX-License-Identifier: MIT */
#include "proc/sockets.h"

#include "base/buf.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/num.h"
#include "config/config.h"
#include "log/log.h"
#include "net/addr.h"
#include "proc/arbiter.h"
#include "proc/signals.h"
#include "proc/systemd.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { BIND_ATTEMPTS = 5, BIND_PAUSE_MS = 1000, FD_LIST_MAX_BYTES = 64 * 1024 };

/* --- what was inherited --- */

static bool
has_number(const char *list, int number)
{
    while (list && *list) {
        char *end = NULL;
        long n = strtol(list, &end, 10);
        if (end != list && n == number) {
            return true;
        }
        end += strcspn(end, ",");
        list = *end ? end + 1 : end;
    }
    return false;
}

/* The number that the list begins with; the rest of it in *list. 0: there is none. */
static uint32_t
take_number(const char **list)
{
    uint64_t number = 0;
    size_t n = *list ? strcspn(*list, ",") : 0;
    if (n == 0 || num_from_dec(span_of(*list, n), &number) < 0 || number > UINT32_MAX) {
        number = 0;
    }
    *list = *list ? *list + n + ((*list)[n] == ',') : NULL;
    return (uint32_t)number;
}

/* GUNICORN_FD: numbers separated by commas. Its name is Gunicorn's, so that either program can be
 * upgraded to the other. */
static void
inherit_list(struct inheritance *inheritance, const char *list)
{
    const char *owned = getenv("SAOLA_UNLINK_FD");
    const char *ids = getenv("SAOLA_LISTENER_ID");
    size_t room = strlen(list) / 2 + 1;

    inheritance->fds = mem_array(room, sizeof(*inheritance->fds));
    inheritance->unlink = mem_array(room, sizeof(*inheritance->unlink));
    inheritance->ids = mem_array(room, sizeof(*inheritance->ids));
    while (*list) {
        size_t n = strcspn(list, ",");
        uint64_t fd = 0;
        if (num_from_dec(span_of(list, n), &fd) == 0 && fd <= INT_MAX) {
            inheritance->unlink[inheritance->count] = has_number(owned, (int)fd);
            inheritance->ids[inheritance->count] = take_number(&ids);
            inheritance->fds[inheritance->count++] = (int)fd;
        }
        list += n + (list[n] == ',');
    }
}

void
inheritance_init(struct inheritance *inheritance, bool from_predecessor)
{
    *inheritance = (struct inheritance){0};
    int count = systemd_listen_fds();
    if (count > 0) {
        inheritance->systemd = true;
        inheritance->count = (size_t)count;
        inheritance->fds = mem_array((size_t)count, sizeof(*inheritance->fds));
        inheritance->unlink = mem_array((size_t)count, sizeof(*inheritance->unlink));
        inheritance->ids = mem_array((size_t)count, sizeof(*inheritance->ids));
        for (int i = 0; i < count; i++) {
            inheritance->fds[i] = SYSTEMD_FIRST_FD + i;
        }
        return;
    }
    const char *list = getenv("GUNICORN_FD");
    if (from_predecessor && list) {
        inheritance->systemd = getenv("SAOLA_SYSTEMD") != NULL;
        inherit_list(inheritance, list);
    }
}

void
inheritance_fini(struct inheritance *inheritance)
{
    free(inheritance->fds);
    free(inheritance->unlink);
    free(inheritance->ids);
    *inheritance = (struct inheritance){0};
}

/* --- opening --- */

static struct listener_options
options_from(const struct config *cfg)
{
    return (struct listener_options){
        .backlog = (int)MIN_OF(cfg->backlog, INT_MAX),
        .reuse_port = cfg->reuse_port,
        .umask = (mode_t)cfg->umask,
        .uid = (uid_t)cfg->user,
        .gid = (gid_t)cfg->group,
    };
}

static void
append(struct arbiter *a, const struct listener *listener)
{
    size_t size = (a->listener_count + 1) * sizeof(*a->listeners);
    a->listeners = mem_realloc(a->listeners, size);
    a->listeners[a->listener_count] = *listener;
    a->listeners[a->listener_count++].id = ++a->last_listener_id;
}

/* The signals that end a start; any other that comes before the server runs has no meaning yet. */
static bool
pause_or_stop(struct arbiter *a)
{
    struct pollfd pollfd = {.fd = a->signal_fd, .events = POLLIN};
    poll(&pollfd, 1, BIND_PAUSE_MS);
    for (int number = signals_next(); number > 0; number = signals_next()) {
        if (number == SIGTERM || number == SIGINT || number == SIGQUIT) {
            log_info("Handling signal: %s", signals_short_name(number));
            return true;
        }
    }
    return false;
}

static bool
may_succeed_later(int rc)
{
    return rc == -EADDRINUSE || rc == -EADDRNOTAVAIL || rc == -EAGAIN;
}

static void
log_failure(const struct addr *addr, int rc, const char *error)
{
    char *shown = addr_repr(addr);

    if (rc == -EADDRINUSE) {
        log_error("Connection in use: %s", shown);
    } else if (rc == -EADDRNOTAVAIL) {
        log_error("Invalid address: %s", shown);
    }
    log_error("connection to %s failed: %s", shown, error);
    if (rc == -EACCES && addr->kind == ADDR_TCP && addr->port < IPPORT_RESERVED) {
        log_error("A port below %d takes root, the capability CAP_NET_BIND_SERVICE, or a lower "
                  "net.ipv4.ip_unprivileged_port_start",
                  IPPORT_RESERVED);
    }
    free(shown);
}

/* What people write in place of what is meant. */
static char *
hint_about(const char *bind)
{
    const char *scheme = strstr(bind, "://");

    if (strncmp(bind, "http", strlen("http")) == 0 && scheme) {
        return mem_printf(": write %s", scheme + strlen("://"));
    }
    if (!scheme && strchr(bind, '[') == NULL && strchr(bind, ':') != strrchr(bind, ':')) {
        return mem_printf(": an IPv6 address belongs in brackets, [%s]", bind);
    }
    return mem_strdup("");
}

/* As addr_parse(), with an error that shows the whole value. */
static int
parse_bind(const char *bind, struct addr *ret_addr, char **ret_error)
{
    char *error = NULL;
    int rc = addr_parse(bind, ret_addr, &error);

    if (rc < 0) {
        char *hint = hint_about(bind);
        *ret_error = mem_printf("%s (bind = '%s'%s)", error, bind, hint);
        free(hint);
        free(error);
    }
    return rc;
}

static int
open_patiently(struct arbiter *a, const struct addr *addr, struct listener *ret_listener)
{
    struct listener_options options = options_from(a->cfg);
    char *shown = addr_repr(addr);
    int rc = -EAGAIN;

    for (int i = 0; i < BIND_ATTEMPTS && may_succeed_later(rc); i++) {
        char *error = NULL;
        rc = listener_open(ret_listener, addr, &options, &error);
        if (rc < 0) {
            log_failure(addr, rc, error);
        }
        free(error);
        if (may_succeed_later(rc)) {
            log_debug("Retrying in 1 second.");
            if (pause_or_stop(a)) {
                rc = -EINTR;
            }
        }
    }
    if (rc < 0 && rc != -EINTR) {
        log_error("Can't connect to %s", shown);
    }
    free(shown);
    return rc;
}

static int
adopt_all(struct arbiter *a, const struct inheritance *inheritance)
{
    for (size_t i = 0; i < inheritance->count; i++) {
        struct listener listener;
        int rc = listener_adopt(&listener, inheritance->fds[i], (int)a->cfg->backlog,
                                inheritance->unlink[i], &a->error);
        if (rc < 0) {
            return rc;
        }
        append(a, &listener);
        if (inheritance->ids[i] != 0) {
            a->listeners[i].id = inheritance->ids[i];
            a->last_listener_id = MAX_OF(a->last_listener_id, inheritance->ids[i]);
        }
    }
    return 0;
}

/* Whether an inherited socket is the one that `addr` asks for. Port 0 asks for any. */
static bool
serves(const struct listener *listener, const struct addr *addr)
{
    struct sockaddr_storage sockaddr;
    socklen_t length = 0;
    char name[ADDR_NAME_MAX];
    char *error = NULL;

    if (addr->kind == ADDR_FD || listener->addr.kind != ADDR_FD) {
        return addr_equal(&listener->addr, addr);
    }
    if (addr_resolve(addr, &sockaddr, &length, &error) < 0) {
        free(error);
        return false;
    }
    addr_format((struct sockaddr *)&sockaddr, length, name);
    if (addr->kind == ADDR_TCP && addr->port == 0) {
        size_t without_port = strlen(name) - 1;
        return strncmp(listener->name, name, without_port) == 0;
    }
    return strcmp(listener->name, name) == 0;
}

static struct listener *
find(const struct arbiter *a, const struct addr *addr)
{
    for (size_t i = 0; i < a->listener_count; i++) {
        if (serves(&a->listeners[i], addr)) {
            return &a->listeners[i];
        }
    }
    return NULL;
}

int
sockets_open(struct arbiter *a, const struct inheritance *inheritance)
{
    const struct config_list *bind = &a->cfg->bind;
    int rc = adopt_all(a, inheritance);

    a->systemd = inheritance->systemd;
    if (rc < 0 || a->systemd) {
        return rc;
    }
    for (size_t i = 0; i < bind->count; i++) {
        struct addr addr;
        struct listener opened;
        rc = parse_bind(bind->items[i], &addr, &a->error);
        if (rc < 0) {
            return rc;
        }
        struct listener *inherited = find(a, &addr);
        if (inherited) {
            inherited->addr = addr;
            continue;
        }
        rc = open_patiently(a, &addr, &opened);
        if (rc < 0) {
            return rc;
        }
        append(a, &opened);
    }
    return 0;
}

/* --- a reload --- */

static int
open_or_keep(const struct arbiter *a, const struct config *cfg, const char *text,
             struct listener *ret_listener)
{
    struct listener_options options = options_from(cfg);
    struct addr addr;
    char *error = NULL;

    options.reuse_port = a->cfg->reuse_port;
    int rc = parse_bind(text, &addr, &error);
    if (rc < 0) {
        log_error("%s", error);
        free(error);
        return rc;
    }
    const struct listener *kept = find(a, &addr);
    if (kept) {
        *ret_listener = *kept;
        ret_listener->addr = addr;
        return 0;
    }
    rc = listener_open(ret_listener, &addr, &options, &error);
    if (rc < 0) {
        log_failure(&addr, rc, error);
        free(error);
        return rc;
    }
    return 1;
}

static bool
holds_fd(const struct listener *listeners, size_t count, int fd)
{
    for (size_t i = 0; i < count; i++) {
        if (listeners[i].fd == fd) {
            return true;
        }
    }
    return false;
}

/* Closes what is in `listeners` and not in `kept`. */
static int
close_others(struct listener *listeners, size_t count, const struct listener *kept, size_t n_kept)
{
    int closed = 0;
    for (size_t i = 0; i < count; i++) {
        if (!holds_fd(kept, n_kept, listeners[i].fd)) {
            listener_unlink(&listeners[i]);
            listener_close(&listeners[i]);
            closed++;
        }
    }
    return closed;
}

int
sockets_change(struct arbiter *a, const struct config *cfg)
{
    const struct config_list *bind = &cfg->bind;
    struct listener *wanted = NULL;
    int changes = 0;

    if (a->systemd) {
        return 0;
    }
    wanted = mem_array(bind->count + 1, sizeof(*wanted));
    for (size_t i = 0; i < bind->count; i++) {
        int rc = open_or_keep(a, cfg, bind->items[i], &wanted[i]);
        if (rc < 0) {
            close_others(wanted, i, a->listeners, a->listener_count);
            free(wanted);
            return rc;
        }
        if (rc > 0) {
            wanted[i].id = ++a->last_listener_id;
        }
        changes += rc;
    }
    changes += close_others(a->listeners, a->listener_count, wanted, bind->count);
    free(a->listeners);
    a->listeners = wanted;
    a->listener_count = bind->count;
    return changes > 0;
}

/* --- the rest --- */

void
sockets_close(struct arbiter *a)
{
    bool ours = a->predecessor_pid == 0 && a->successor_pid == 0;
    for (size_t i = 0; i < a->listener_count; i++) {
        if (ours) {
            listener_unlink(&a->listeners[i]);
        }
        listener_close(&a->listeners[i]);
    }
    free(a->listeners);
    a->listeners = NULL;
    a->listener_count = 0;
}

static char *
join(struct buf *text)
{
    char *result = mem_printf("%.*s", (int)text->len, text->len > 0 ? buf_begin(text) : "");
    buf_fini(text);
    return result;
}

char *
sockets_describe(const struct arbiter *a)
{
    struct buf text;
    buf_init(&text, FD_LIST_MAX_BYTES);
    for (size_t i = 0; i < a->listener_count; i++) {
        if (buf_printf(&text, "%s%s", i > 0 ? "," : "", a->listeners[i].name) < 0) {
            break;
        }
    }
    return join(&text);
}

char *
sockets_fd_list(const struct arbiter *a, bool only_owned)
{
    struct buf text;
    buf_init(&text, FD_LIST_MAX_BYTES);
    for (size_t i = 0; i < a->listener_count; i++) {
        const struct listener *listener = &a->listeners[i];
        if (only_owned && listener->path_ino == 0) {
            continue;
        }
        if (buf_printf(&text, "%s%d", text.len > 0 ? "," : "", listener->fd) < 0) {
            break;
        }
    }
    return join(&text);
}

char *
sockets_id_list(const struct arbiter *a)
{
    struct buf text;
    buf_init(&text, FD_LIST_MAX_BYTES);
    for (size_t i = 0; i < a->listener_count; i++) {
        if (buf_printf(&text, "%s%u", i > 0 ? "," : "", (unsigned)a->listeners[i].id) < 0) {
            break;
        }
    }
    return join(&text);
}

void
sockets_bequeath(const struct arbiter *a)
{
    for (size_t i = 0; i < a->listener_count; i++) {
        int rc = fd_set_cloexec(a->listeners[i].fd, false);
        (void)rc; /* an open descriptor has flags */
    }
}
