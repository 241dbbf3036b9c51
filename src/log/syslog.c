/* SPDX-License-Identifier: MIT */
#include "log/syslog.h"

#include "base/mem.h"
#include "log/log.h"
#include "log/remote.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 200,             /* for the first connection of a process */
    LINE_BYTES = 2048,             /* a longer message is put together on the heap */
    MESSAGE_MAX_BYTES = 60 * 1024, /* a longer one is cut: a datagram has 64 KiB at most */
};

struct syslog {
    struct remote remote;
    unsigned facility;
    char *prefix; /* owned */
};

struct syslog *
syslog_new(const struct syslog_options *options, char **ret_error)
{
    struct syslog *syslog = mem_zalloc(sizeof(*syslog));
    int rc = options->host
                 ? remote_open_host(&syslog->remote, options->type, options->host, options->port,
                                    ret_error)
                 : remote_open_unix(&syslog->remote, options->type, options->path, ret_error);
    if (rc < 0) {
        free(syslog);
        return NULL;
    }
    syslog->facility = options->facility;
    syslog->prefix = mem_strdup(options->prefix);
    return syslog;
}

void
syslog_free(struct syslog *syslog)
{
    if (syslog) {
        remote_close(&syslog->remote);
        free(syslog->prefix);
        free(syslog);
    }
}

void
syslog_connect(struct syslog *syslog)
{
    remote_connect(&syslog->remote, PATIENCE_MS);
}

/* RFC 5424 section 6.2.1; the numbers are those that Python's SysLogHandler sends. */
static unsigned
severity(int level)
{
    enum { CRITICAL = 2, ERROR = 3, WARNING = 4, INFO = 6, DEBUG = 7 };
    return level >= LOG_LEVEL_CRITICAL  ? CRITICAL
           : level >= LOG_LEVEL_ERROR   ? ERROR
           : level >= LOG_LEVEL_WARNING ? WARNING
           : level >= LOG_LEVEL_INFO    ? INFO
                                        : DEBUG;
}

/* `head` and `text` in one message, with priority and NUL. */
static bool
send_parts(struct syslog *syslog, int level, struct span head, struct span text)
{
    char stack[LINE_BYTES];
    char priority[16];
    int n = snprintf(priority, sizeof(priority), "<%u>", syslog->facility << 3 | severity(level));
    size_t used = (size_t)n + head.n;
    text.n = MIN_OF(text.n, MESSAGE_MAX_BYTES - MIN_OF(used, (size_t)MESSAGE_MAX_BYTES));
    char *message = used + text.n < sizeof(stack) ? stack : mem_alloc(used + text.n + 1);

    memcpy(message, priority, (size_t)n);
    memcpy(message + n, head.p, head.n);
    if (text.n > 0) {
        memcpy(message + used, text.p, text.n);
    }
    message[used + text.n] = '\0';
    bool sent = remote_send(&syslog->remote, span_of(message, used + text.n + 1));
    if (message != stack) {
        free(message);
    }
    return sent;
}

/* "gunicorn.NAME.error: [PID] " */
static bool
send_from(struct syslog *syslog, int level, const char *log, struct span text)
{
    char *head = mem_printf("gunicorn.%s.%s: [%ld] ", syslog->prefix, log, (long)getpid());
    bool sent = send_parts(syslog, level, span_str(head), text);
    free(head);
    return sent;
}

static void
report_lost(struct syslog *syslog)
{
    uint64_t lost = atomic_exchange(&syslog->remote.lost, 0);
    char text[64];
    if (lost == 0) {
        return;
    }
    int n = snprintf(text, sizeof(text), "%" PRIu64 " messages could not be sent", lost);
    if (!send_from(syslog, LOG_LEVEL_WARNING, "error", span_of(text, (size_t)n))) {
        atomic_fetch_add(&syslog->remote.lost, lost);
    }
}

void
syslog_error(struct syslog *syslog, int level, struct span message)
{
    if (send_from(syslog, level, "error", message)) {
        report_lost(syslog);
    }
}

void
syslog_access(struct syslog *syslog, struct span line)
{
    if (send_from(syslog, LOG_LEVEL_INFO, "access", line)) {
        report_lost(syslog);
    }
}

void
syslog_send(struct syslog *syslog, int level, struct span text)
{
    if (send_parts(syslog, level, SPAN(""), text)) {
        report_lost(syslog);
    }
}
