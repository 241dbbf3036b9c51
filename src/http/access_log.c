/* SPDX-License-Identifier: MIT */
#include "http/access_log.h"

#include "base/clock.h"
#include "log/log.h"
#include "log/syslog.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void
access_log_init(struct access_log *log)
{
    *log = (struct access_log){.file = LOG_FILE(-1)};
    /* One line may exceed what the backlog has room for. */
    buf_init(&log->lines, 2 * (size_t)ACCESS_LOG_BACKLOG_BYTES);
}

/* Writes to a pipe are indivisible up to PIPE_BUF bytes only. */
static size_t
largest_write(int fd)
{
    struct stat status;
    bool regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    return regular ? SIZE_MAX : PIPE_BUF;
}

int
access_log_open(struct access_log *log, const char *path, const struct access_log_format *format,
                bool to_syslog)
{
    int rc = 0;
    access_log_flush(log);
    if (path) {
        rc = log_file_open(&log->file, path, STDOUT_FILENO);
    } else {
        access_log_close(log);
    }
    if (rc == 0) {
        log->format = format;
        log->to_syslog = to_syslog;
        log->torn = false;
    }
    if (rc == 0 && path) {
        log->write_max = largest_write(log->file.fd);
    }
    return rc;
}

static size_t
count_lines(struct span text)
{
    size_t lines = 0;
    for (const char *p = text.p; p < text.p + text.n; p++) {
        lines += *p == '\n';
    }
    return lines;
}

static void
report_lost(struct access_log *log)
{
    int64_t now_ns = clock_mono_ns();
    if (log->lost == 0 || (log->reported_ns != 0 && now_ns - log->reported_ns < NS_PER_SEC)) {
        return;
    }
    char text[128];
    log_warning("%" PRIu64 " access log lines were lost: %s", log->lost,
                strerror_r(log->error, text, sizeof(text)));
    log->reported_ns = now_ns;
    log->lost = 0;
}

static void
drop_lines(struct access_log *log, int error)
{
    log->lost += count_lines(buf_span(&log->lines));
    log->error = error;
    log->torn = log->torn || log->partial;
    log->partial = false;
    buf_clear(&log->lines);
}

void
access_log_close(struct access_log *log)
{
    access_log_flush(log);
    if (log->lines.len > 0) {
        drop_lines(log, log->error);
    }
    log->reported_ns = 0; /* the last chance to say it */
    report_lost(log);
    log_file_close(&log->file);
    buf_fini(&log->lines);
    log->format = NULL;
    log->to_syslog = false;
}

void
access_log_reopen(struct access_log *log)
{
    access_log_flush(log);
    int rc = log_file_reopen(&log->file);
    if (rc < 0) {
        char *text = log_file_error(log->file.path, rc);
        log_error("%s; the access log goes on in the file that was open", text);
        free(text);
    } else if (log->file.fd >= 0) {
        log->write_max = largest_write(log->file.fd);
        log->torn = false;
    }
}

/* The largest run of whole lines at the front that one write may carry; a longer line alone. */
static size_t
next_write(const struct access_log *log)
{
    size_t n = log->lines.len;
    if (n <= log->write_max) {
        return n;
    }
    const char *p = buf_begin(&log->lines);
    const char *end = memrchr(p, '\n', log->write_max);
    if (!end) {
        end = memchr(p + log->write_max, '\n', n - log->write_max);
    }
    return end ? (size_t)(end - p) + 1 : n;
}

static ssize_t
write_once(const struct access_log *log)
{
    ssize_t written;
    do {
        written = log->torn ? write(log->file.fd, "\n", 1)
                            : write(log->file.fd, buf_begin(&log->lines), next_write(log));
    } while (written < 0 && errno == EINTR);
    return written < 0 ? -errno : written;
}

void
access_log_write(struct access_log *log)
{
    int saved_errno = errno;
    while (log->lines.len > 0) {
        ssize_t written = write_once(log);
        if (written == -EAGAIN) {
            log->error = EAGAIN;
            break;
        }
        if (written < 0) {
            drop_lines(log, (int)-written);
        } else if (log->torn) {
            log->torn = written == 0;
        } else if (written > 0) {
            log->partial = buf_begin(&log->lines)[written - 1] != '\n';
            buf_consume(&log->lines, (size_t)written);
        }
    }
    if (UNLIKELY(log->lost > 0)) {
        report_lost(log);
    }
    errno = saved_errno;
}

/* Makes room for one more line; false if it has to be dropped, which is counted. */
static bool
make_room(struct access_log *log)
{
    if (UNLIKELY(log->lines.len >= ACCESS_LOG_FLUSH_BYTES)) {
        access_log_write(log);
    }
    bool room = log->lines.len < ACCESS_LOG_BACKLOG_BYTES;
    log->lost += room ? 0 : 1;
    return room;
}

static void
count_failure(struct access_log *log, int rc)
{
    if (UNLIKELY(rc < 0)) {
        log->lost++;
        log->error = -rc;
    }
}

/* The line that begins at `start` is complete. */
static void
line_added(struct access_log *log, size_t start)
{
    if (LIKELY(!log->to_syslog)) {
        return;
    }
    if (log_syslog()) {
        syslog_access(log_syslog(),
                      span_of(buf_begin(&log->lines) + start, log->lines.len - start - 1));
    }
    if (log->file.fd < 0) {
        buf_clear(&log->lines);
    }
}

void
access_log_add(struct access_log *log, const struct access_log_record *record)
{
    if (!make_room(log)) {
        return;
    }
    size_t start = log->lines.len;
    int rc = access_log_render(log->format, record, &log->lines);
    count_failure(log, rc);
    if (LIKELY(rc == 0)) {
        line_added(log, start);
    }
}

void
access_log_add_line(struct access_log *log, struct span line)
{
    if (!make_room(log)) {
        return;
    }
    size_t start = log->lines.len;
    int rc = buf_append_span(&log->lines, line);
    count_failure(log, rc);
    if (rc == 0) {
        line_added(log, start);
    }
}
