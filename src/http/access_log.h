/* SPDX-License-Identifier: MIT */
/*
 * The access log of a worker: lines are rendered into memory while a turn of the loop goes on, and
 * written at its end, in one write(2). To a pipe they go in writes of whole lines of at most
 * PIPE_BUF bytes, so that the lines of several workers do not mix there either.
 *
 * Syslog gets each line at once (log_syslog() of log/log.h), besides the file or instead of it.
 *
 * Writing never fails for the caller. A destination that blocks (a full pipe) blocks; one that does
 * not (EAGAIN) gets the lines later, while fewer than ACCESS_LOG_BACKLOG_BYTES wait. Lines that
 * cannot be written are dropped and counted; the error log gets the count, at most once a second.
 *
 * Guarded by the loop's lock; access_log_open() and _close() belong to the main thread.
 */
#ifndef SAOLA_HTTP_ACCESS_LOG_H
#define SAOLA_HTTP_ACCESS_LOG_H

#include "base/buf.h"
#include "base/macros.h"
#include "http/access_log_format.h"
#include "log/file.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    ACCESS_LOG_FLUSH_BYTES = 64 * 1024,     /* lines that wait for the end of the turn at most */
    ACCESS_LOG_BACKLOG_BYTES = 1024 * 1024, /* lines that wait for the destination at most */
};

struct access_log {
    struct log_file file;                   /* fd -1: there is none */
    const struct access_log_format *format; /* not owned */
    struct buf lines;                       /* rendered and not written */
    size_t write_max;                       /* bytes of one write: PIPE_BUF unless a regular file */
    uint64_t lost;                          /* lines dropped and not yet reported */
    int64_t reported_ns;                    /* when lost lines were last reported; monotonic */
    int error;                              /* errno of the last failed write */
    bool partial;                           /* lines begins in the middle of a line */
    bool torn;                              /* the last line in the file has no end */
    bool to_syslog;
};

/* Makes an access log that is off. */
void access_log_init(struct access_log *log);

/* `path` "-" is stdout, NULL is no file: the log is off then, unless its lines go to syslog. A
 * negative errno if the file cannot be opened: log_file_error() words it, and the log stays as it
 * was. The format is needed as long as the log is open. */
int access_log_open(struct access_log *log, const char *path,
                    const struct access_log_format *format, bool to_syslog) NODISCARD;
void access_log_close(struct access_log *log); /* flushes; the log is off then */

/* For USR1; flushes to the old file first. If the new one cannot be opened the old one stays in use
 * and the error log says so. */
void access_log_reopen(struct access_log *log);

static inline bool
access_log_enabled(const struct access_log *log)
{
    return log->file.fd >= 0 || log->to_syslog;
}

/* Adds one line. The log must be enabled. */
void access_log_add(struct access_log *log, const struct access_log_record *record);

/* Adds a line that the caller has rendered, with its line end: where the lookups of a record must
 * not run under the lock. */
void access_log_add_line(struct access_log *log, struct span line);

/* Writes what was added. Cheap if that is nothing. */
void access_log_write(struct access_log *log);

static inline void
access_log_flush(struct access_log *log)
{
    if (log->lines.len > 0) {
        access_log_write(log);
    }
}

#endif
