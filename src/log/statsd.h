/* SPDX-License-Identifier: MIT */
/*
 * Metrics to a StatsD server, one datagram per metric, in Gunicorn's form:
 *
 *     PREFIXname:value|type|#tags
 *
 * Nothing waits for the server, and nobody hears of one that is away. Callable from any thread.
 */
#ifndef SAOLA_LOG_STATSD_H
#define SAOLA_LOG_STATSD_H

#include "base/macros.h"

#include <stdint.h>

struct statsd;

struct statsd_options {
    const char *host; /* NULL: a unix socket */
    unsigned port;
    const char *path;   /* of a unix socket */
    const char *prefix; /* as set; a dot is put behind it as Gunicorn does */
    const char *tags;   /* "" for none */
};

/* NULL, with *ret_error a text (to be freed), if the host has no address. */
struct statsd *statsd_new(const struct statsd_options *options, char **ret_error) NODISCARD;
void statsd_free(struct statsd *statsd); /* NULL is ignored */

void statsd_increment(struct statsd *statsd, const char *name, int64_t value);
void statsd_gauge(struct statsd *statsd, const char *name, int64_t value);
void statsd_histogram(struct statsd *statsd, const char *name, int64_t value);

/* The three metrics of a request that is over. */
void statsd_request(struct statsd *statsd, int status, int64_t duration_ns);

#endif
