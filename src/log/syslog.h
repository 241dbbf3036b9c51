/* SPDX-License-Identifier: MIT */
/*
 * Messages to a syslog server in the form in which Gunicorn sends them, that of Python's
 * SysLogHandler: "<PRI>gunicorn.NAME.error: [PID] text" and a NUL. One message is one datagram, or
 * a stretch of a stream. A server that is away or slow loses messages; their number is told with
 * the next one that reaches it.
 *
 * syslog_send() and its kin may be called from any thread, the others belong to the main thread.
 */
#ifndef SAOLA_LOG_SYSLOG_H
#define SAOLA_LOG_SYSLOG_H

#include "base/macros.h"
#include "base/span.h"

struct syslog;

struct syslog_options {
    int type;         /* SOCK_DGRAM, SOCK_STREAM; 0: what the unix socket is */
    const char *host; /* NULL: a unix socket */
    unsigned port;
    const char *path;   /* of a unix socket */
    unsigned facility;  /* its code, as in RFC 5424 section 6.2.1 */
    const char *prefix; /* NAME */
};

/* NULL, with *ret_error a text (to be freed), if the host has no address. */
struct syslog *syslog_new(const struct syslog_options *options, char **ret_error) NODISCARD;
void syslog_free(struct syslog *syslog); /* NULL is ignored */

/* At the beginning of a process: connects, if that is what the server takes. */
void syslog_connect(struct syslog *syslog);

/* A message of the error log (level: enum log_level), and a line of the access log. */
void syslog_error(struct syslog *syslog, int level, struct span message);
void syslog_access(struct syslog *syslog, struct span line);

/* A message that somebody else has put together, from behind the priority. */
void syslog_send(struct syslog *syslog, int level, struct span text);

#endif
