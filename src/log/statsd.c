/* SPDX-License-Identifier: MIT */
#include "log/statsd.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/span.h"
#include "log/remote.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { METRIC_BYTES = 160 }; /* what a metric takes besides prefix and tags */

struct statsd {
    struct remote remote;
    char *prefix;      /* owned, with its dot */
    char *suffix;      /* owned: "|#tags", or empty */
    size_t metric_max; /* bytes of a metric at most */
};

/* One dot at the end, unless the prefix has a single character, or none but dots. */
static char *
with_dot(const char *prefix)
{
    size_t n = strlen(prefix);
    while (n > 0 && prefix[n - 1] == '.') {
        n--;
    }
    return n >= 2 ? mem_printf("%.*s.", (int)n, prefix) : mem_strdup(prefix);
}

struct statsd *
statsd_new(const struct statsd_options *options, char **ret_error)
{
    struct statsd *statsd = mem_zalloc(sizeof(*statsd));
    int rc =
        options->host
            ? remote_open_host(&statsd->remote, SOCK_DGRAM, options->host, options->port, ret_error)
            : remote_open_unix(&statsd->remote, SOCK_DGRAM, options->path, ret_error);
    if (rc < 0) {
        free(statsd);
        return NULL;
    }
    statsd->prefix = with_dot(options->prefix);
    statsd->suffix = options->tags[0] ? mem_printf("|#%s", options->tags) : mem_strdup("");
    statsd->metric_max = METRIC_BYTES + strlen(statsd->prefix) + strlen(statsd->suffix);
    return statsd;
}

void
statsd_free(struct statsd *statsd)
{
    if (statsd) {
        remote_close(&statsd->remote);
        free(statsd->prefix);
        free(statsd->suffix);
        free(statsd);
    }
}

/* `body` is "name:value|type". Of what was printed to it beyond its size, nothing is sent. */
static struct span
complete(const struct statsd *statsd, const char *body, char *out)
{
    char *end = stpcpy(stpcpy(stpcpy(out, statsd->prefix), body), statsd->suffix);
    return span_of(out, (size_t)(end - out));
}

static void
send_metric(struct statsd *statsd, const char *name, int64_t value, const char *type)
{
    char body[METRIC_BYTES];
    int error = errno;
    char *metric = mem_alloc(statsd->metric_max);
    int n = snprintf(body, sizeof(body), "%s:%" PRId64 "|%s", name, value, type);
    if (n < (int)sizeof(body)) {
        remote_send(&statsd->remote, complete(statsd, body, metric));
    }
    free(metric);
    errno = error;
}

void
statsd_increment(struct statsd *statsd, const char *name, int64_t value)
{
    send_metric(statsd, name, value, "c|@1.0");
}

void
statsd_gauge(struct statsd *statsd, const char *name, int64_t value)
{
    send_metric(statsd, name, value, "g");
}

void
statsd_histogram(struct statsd *statsd, const char *name, int64_t value)
{
    send_metric(statsd, name, value, "h");
}

/* Milliseconds as Python writes the number: at least one decimal, no zeros behind it. */
static void
render_ms(int64_t ns, char out[32])
{
    uint64_t us = ns > 0 ? (uint64_t)ns / 1000 : 0;
    int n = snprintf(out, 32, "%" PRIu64 ".%03" PRIu64, us / 1000, us % 1000);
    while (out[n - 1] == '0' && out[n - 2] != '.') {
        n--;
    }
    out[n] = '\0';
}

void
statsd_request(struct statsd *statsd, int status, int64_t duration_ns)
{
    char bodies[3][METRIC_BYTES] = {"", "gunicorn.requests:1|c|@1.0", ""};
    struct span metrics[ARRAY_LEN(bodies)];
    char ms[32];
    char *memory = mem_alloc(ARRAY_LEN(bodies) * statsd->metric_max);
    render_ms(duration_ns, ms);
    (void)snprintf(bodies[0], METRIC_BYTES, "gunicorn.request.duration:%s|ms", ms);
    (void)snprintf(bodies[2], METRIC_BYTES, "gunicorn.request.status.%d:1|c|@1.0", status);
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        metrics[i] = complete(statsd, bodies[i], memory + i * statsd->metric_max);
    }
    remote_send_batch(&statsd->remote, metrics, ARRAY_LEN(metrics));
    free(memory);
}
