/* SPDX-License-Identifier: MIT */
/*
 * The error log of this process: lines such as
 *
 *     [2026-08-22 10:00:00 +0000] [123] [INFO] text
 *
 * to stderr or to a file opened for append. One message is one write(2), also if it has several
 * lines, so messages of several threads and processes never mix. There is one sink per process; a
 * forked child inherits it. Logging needs no lock and no allocation for messages of usual length,
 * keeps errno, and never fails: what the destination does not take is counted, and the count is
 * reported with the next message that it takes.
 *
 * log_printf() and its kin may be called from any thread. log_open(), log_reopen(), log_close() and
 * the log_set functions belong to the main thread; log_reopen() may run while others log. Nothing
 * here may be called from a signal handler.
 *
 * Library code does not log; whoever handles the error does, once. Bytes of a peer go through
 * log_quote() (log/quote.h) and, wherever a peer can trigger the line, through log_limited()
 * (log/limit.h).
 */
#ifndef SAOLA_LOG_LOG_H
#define SAOLA_LOG_LOG_H

#include "base/macros.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The numbers are those of Python's logging module. */
enum log_level {
    LOG_LEVEL_DEBUG = 10,
    LOG_LEVEL_INFO = 20,
    LOG_LEVEL_WARNING = 30,
    LOG_LEVEL_ERROR = 40,
    LOG_LEVEL_CRITICAL = 50,
};

/* By the name of the setting loglevel, in any letter case; an unknown name is INFO. */
enum log_level log_level_from(const char *name);

/* "INFO" and so on; the nearest level below for a number in between. */
const char *log_level_name(int level);

/* Before the first log_open(): stderr, INFO. */
void log_set_level(enum log_level level);
bool log_enabled(int level);

/* Directs the log to the file `path` (created if need be; remembered as an absolute path), or to
 * stderr ("-" or NULL). On failure, a negative errno, the log stays where it is;
 * log_file_error() (log/file.h) words it. Not while another thread logs. */
int log_open(const char *path) NODISCARD;

/* Opens the file anew, for whoever rotates it by renaming (USR1). If that fails the old one stays
 * in use, and the log says so; the result is the negative errno. 0 for stderr. */
int log_reopen(void);

/* Back to stderr. */
void log_close(void);

/* Gives the file to the user and group that will have to reopen it (-1: unchanged). */
void log_chown(uid_t uid, gid_t gid);

/* The descriptor in use, to be kept open by whoever closes others; log_is_file(): it is not stderr.
 */
int log_fd(void);
bool log_is_file(void);

/* One message. It may have several lines; a line end at its end is not doubled. Not shortened: peer
 * data has been, by log_quote(). */
void log_printf(int level, const char *format, ...) PRINTF_LIKE(2, 3);
void log_write(int level, struct span message);

/* A message that is a metric too: the message is logged at level DEBUG, the metric goes to StatsD
 * whatever the level. */
struct log_metric {
    const char *name;
    const char *type; /* "gauge" or "histogram" */
    int64_t value;
};

void log_metric(const struct log_metric *metric, const char *format, ...) PRINTF_LIKE(2, 3);

/* The same, but never diverted: for who could not get a message to where it was diverted to. */
void log_write_here(int level, struct span message);

/* Bytes as they are, for who has formatted whole lines already (Python's logging handlers). */
void log_raw(struct span lines);

/* Where messages go besides the file. Both are the log's from then on; NULL ends it. */
struct syslog;
struct statsd;
void log_set_syslog(struct syslog *syslog);
void log_set_statsd(struct statsd *statsd);
struct syslog *log_syslog(void); /* NULL: none */
struct statsd *log_statsd(void);

/* Another place for messages: Python's logging. `metric` is NULL for most of them; its message may
 * be below the level. False: it was not taken, and goes where it would have gone. Any thread. */
typedef bool log_divert(void *context, int level, struct span message,
                        const struct log_metric *metric);
void log_set_divert(log_divert *divert, void *context); /* NULL: none */

/* Arguments are not evaluated if the level is filtered. */
// NOLINTBEGIN(readability-identifier-naming): they read as the functions they stand for.
#define log_at_(level, ...) (log_enabled(level) ? log_printf(level, __VA_ARGS__) : (void)0)
#define log_debug(...) log_at_(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_at_(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_at_(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) log_at_(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_critical(...) log_at_(LOG_LEVEL_CRITICAL, __VA_ARGS__)
// NOLINTEND(readability-identifier-naming)

#endif
