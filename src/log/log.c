/* SPDX-License-Identifier: MIT */
/*
 * The sink is the one mutable object here. Threads read its descriptor and level, both atomic;
 * log_reopen() puts the new file behind the same descriptor, so that it changes under no one. Lines
 * of all threads and processes stay whole because each is one write to a file opened for append.
 */
#include "log/log.h"

#include "base/fd.h"
#include "base/mem.h"
#include "log/file.h"
#include "log/statsd.h"
#include "log/syslog.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum {
    LOG_LINE_BYTES = 2048,  /* a longer message is put together on the heap */
    LOG_STAMP_BYTES = 80,   /* "[2026-08-22 10:00:00 +0000]" */
    LOG_PREFIX_BYTES = 160, /* the stamp, the pid and the level */
    LOG_PATIENCE_MS = 20,   /* for a destination that takes nothing at the moment */
};

static struct {
    struct log_file file; /* the main thread's */
    _Atomic int fd;       /* file.fd, for everybody */
    _Atomic int level;
    _Atomic unsigned lost; /* messages not written and not yet reported */
    /* Set while no other thread logs. */
    struct syslog *syslog; /* owned, as statsd; or NULL */
    struct statsd *statsd;
    log_divert *divert; /* or NULL */
    void *divert_context;
} sink = {
    .file = {.fd = STDERR_FILENO},
    .fd = STDERR_FILENO,
    .level = LOG_LEVEL_INFO,
};

static const struct {
    enum log_level level;
    const char *name;
} LEVELS[] = {
    {LOG_LEVEL_CRITICAL, "CRITICAL"}, {LOG_LEVEL_ERROR, "ERROR"}, {LOG_LEVEL_WARNING, "WARNING"},
    {LOG_LEVEL_INFO, "INFO"},         {LOG_LEVEL_DEBUG, "DEBUG"},
};

enum log_level
log_level_from(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(LEVELS); i++) {
        if (strcasecmp(name, LEVELS[i].name) == 0) {
            return LEVELS[i].level;
        }
    }
    return LOG_LEVEL_INFO;
}

const char *
log_level_name(int level)
{
    for (size_t i = 0; i < ARRAY_LEN(LEVELS); i++) {
        if (level >= (int)LEVELS[i].level) {
            return LEVELS[i].name;
        }
    }
    return LEVELS[ARRAY_LEN(LEVELS) - 1].name;
}

void
log_set_level(enum log_level level)
{
    atomic_store_explicit(&sink.level, level, memory_order_relaxed);
}

bool
log_enabled(int level)
{
    return level >= atomic_load_explicit(&sink.level, memory_order_relaxed);
}

int
log_fd(void)
{
    return atomic_load_explicit(&sink.fd, memory_order_relaxed);
}

bool
log_is_file(void)
{
    return sink.file.path != NULL;
}

int
log_open(const char *path)
{
    int rc = log_file_open(&sink.file, path ? path : "-", STDERR_FILENO);
    atomic_store_explicit(&sink.fd, sink.file.fd, memory_order_relaxed);
    return rc;
}

int
log_reopen(void)
{
    int rc = log_file_reopen(&sink.file);
    if (rc < 0) {
        char *text = log_file_error(sink.file.path, rc);
        log_error("%s; the log goes on in the file that was open", text);
        free(text);
    }
    return rc;
}

void
log_close(void)
{
    int rc = log_open(NULL);
    (void)rc; /* stderr needs no opening */
}

void
log_chown(uid_t uid, gid_t gid)
{
    log_file_chown(&sink.file, uid, gid);
}

void
log_set_syslog(struct syslog *syslog)
{
    syslog_free(sink.syslog);
    sink.syslog = syslog;
}

void
log_set_statsd(struct statsd *statsd)
{
    statsd_free(sink.statsd);
    sink.statsd = statsd;
}

struct syslog *
log_syslog(void)
{
    return sink.syslog;
}

struct statsd *
log_statsd(void)
{
    return sink.statsd;
}

void
log_set_divert(log_divert *divert, void *context)
{
    sink.divert = divert;
    sink.divert_context = context;
}

/* Writes the moment as Gunicorn's datefmt "[%Y-%m-%d %H:%M:%S %z]" has it, whatever the locale. */
static void
render_stamp(char out[LOG_STAMP_BYTES])
{
    time_t now = time(NULL);
    struct tm tm;
    localtime_r(&now, &tm);
    long minutes = tm.tm_gmtoff / 60;
    snprintf(out, LOG_STAMP_BYTES, "[%04d-%02d-%02d %02d:%02d:%02d %c%02ld%02ld]",
             tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
             minutes < 0 ? '-' : '+', labs(minutes) / 60, labs(minutes) % 60);
}

/* Returns its length; LOG_PREFIX_BYTES are enough. */
static size_t
render_prefix(char out[LOG_PREFIX_BYTES], int level)
{
    char stamp[LOG_STAMP_BYTES];
    render_stamp(stamp);
    int n = snprintf(out, LOG_PREFIX_BYTES, "%s [%ld] [%s] ", stamp, (long)getpid(),
                     log_level_name(level));
    return (size_t)n;
}

/* 0, or -EAGAIN and the like with nothing written, or part of it. */
static int
write_patiently(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, bytes, n);
        if (written >= 0) {
            bytes += written;
            n -= (size_t)written;
        } else if (errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            if (poll(&wait, 1, LOG_PATIENCE_MS) <= 0) {
                return -EAGAIN;
            }
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

static void
report_lost(int fd)
{
    unsigned lost = atomic_exchange_explicit(&sink.lost, 0, memory_order_relaxed);
    if (lost == 0) {
        return;
    }
    char line[LOG_PREFIX_BYTES + 64];
    size_t n = render_prefix(line, LOG_LEVEL_WARNING);
    n += (size_t)snprintf(line + n, sizeof(line) - n, "%u messages could not be logged\n", lost);
    if (write_patiently(fd, line, n) < 0) {
        atomic_fetch_add_explicit(&sink.lost, lost, memory_order_relaxed);
    }
}

void
log_raw(struct span lines)
{
    int error = errno;
    int fd = log_fd();
    if (atomic_load_explicit(&sink.lost, memory_order_relaxed) > 0) {
        report_lost(fd);
    }
    if (write_patiently(fd, lines.p, lines.n) < 0) {
        atomic_fetch_add_explicit(&sink.lost, 1, memory_order_relaxed);
    }
    errno = error;
}

static struct span
without_line_end(struct span message)
{
    while (message.n > 0 && message.p[message.n - 1] == '\n') {
        message.n--;
    }
    return message;
}

/* To the file, as a line. */
static void
write_line(int level, struct span message)
{
    char stack[LOG_LINE_BYTES];
    size_t bytes = LOG_PREFIX_BYTES + message.n + 1;
    char *line = bytes <= sizeof(stack) ? stack : mem_alloc(bytes);

    size_t n = render_prefix(line, level);
    if (message.n > 0) {
        memcpy(line + n, message.p, message.n);
    }
    n += message.n;
    line[n++] = '\n';
    log_raw(span_of(line, n));

    if (line != stack) {
        free(line);
    }
}

static void
count_message(int level)
{
    if (level >= LOG_LEVEL_WARNING) {
        statsd_increment(sink.statsd,
                         level >= LOG_LEVEL_CRITICAL ? "gunicorn.log.critical"
                         : level >= LOG_LEVEL_ERROR  ? "gunicorn.log.error"
                                                     : "gunicorn.log.warning",
                         1);
    }
}

void
log_write_here(int level, struct span message)
{
    if (!log_enabled(level)) {
        return;
    }
    int error = errno;
    message = without_line_end(message);
    write_line(level, message);
    if (sink.syslog) {
        syslog_error(sink.syslog, level, message);
    }
    if (sink.statsd) {
        count_message(level);
    }
    errno = error;
}

void
log_write(int level, struct span message)
{
    int error = errno;
    if (!sink.divert || !log_enabled(level) ||
        !sink.divert(sink.divert_context, level, without_line_end(message), NULL)) {
        log_write_here(level, message);
    }
    errno = error;
}

static void
send_metric(const struct log_metric *metric)
{
    if (strcmp(metric->type, "gauge") == 0) {
        statsd_gauge(sink.statsd, metric->name, metric->value);
    } else {
        statsd_histogram(sink.statsd, metric->name, metric->value);
    }
}

void
log_metric(const struct log_metric *metric, const char *format, ...)
{
    char text[LOG_LINE_BYTES];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct span message = span_of(text, (size_t)MIN_OF(MAX_OF(length, 0), LOG_LINE_BYTES - 1));
    if (sink.divert && sink.divert(sink.divert_context, LOG_LEVEL_DEBUG, message, metric)) {
        return;
    }
    log_debug("%s", text);
    if (sink.statsd) {
        send_metric(metric);
    }
}

void
log_printf(int level, const char *format, ...)
{
    if (!log_enabled(level)) {
        return;
    }
    int error = errno;
    char stack[LOG_LINE_BYTES];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(stack, sizeof(stack), format, args);
    va_end(args);
    size_t n = length < 0 ? 0 : (size_t)length;
    if (n < sizeof(stack)) {
        log_write(level, span_of(stack, n));
    } else {
        char *text = mem_alloc(n + 1);
        errno = error; /* for %m */
        va_start(args, format);
        vsnprintf(text, n + 1, format, args);
        va_end(args);
        log_write(level, span_of(text, n));
        free(text);
    }
    errno = error;
}
