/* SPDX-License-Identifier: MIT */
#include "http/access.h"

#include "base/mem.h"
#include "http/access_log.h"
#include "http/request.h"
#include "http/server.h"
#include "http/uri.h"
#include "log/log.h"
#include "log/statsd.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024 * 1024 };

static struct span
well_known(const struct request *request, enum http_header id)
{
    const struct h1_header *header = h1_head_find(&request->head, id);
    return header ? h1_header_value(request->base, header) : (struct span){NULL, 0};
}

/* The lookups of the bridge, with ours in front of them. */
struct lookups {
    struct access_log_lookup table; /* context: these lookups */
    const struct request *request;
    const struct response_lookup *bridge; /* NULL: none */
    char protocol[sizeof("HTTP/1.1") - 1];
};

static struct span
lookup_header(void *context, struct span name)
{
    const struct lookups *lookups = context;
    return request_header(lookups->request, name);
}

static struct span
lookup_field(void *context, struct span name)
{
    const struct lookups *lookups = context;
    return lookups->bridge->field(lookups->bridge->context, name);
}

static struct span
lookup_environ(void *context, struct span key)
{
    const struct lookups *lookups = context;
    return lookups->bridge->environ(lookups->bridge->context, key);
}

static void
lookups_init(struct lookups *lookups, const struct request *request,
             const struct response_lookup *bridge)
{
    *lookups = (struct lookups){
        .table = {.context = lookups, .request_header = lookup_header},
        .request = request,
        .bridge = bridge,
        .protocol = {'H', 'T', 'T', 'P', '/', (char)('0' + request->head.version_major), '.',
                     (char)('0' + request->head.version_minor)},
    };
    if (bridge) {
        lookups->table.response_header = lookup_field;
        lookups->table.environ_item = lookup_environ;
    }
}

static void
fill_record(struct access_log_record *record, const struct request *request,
            const struct lookups *lookups)
{
    const struct h1_head *head = &request->head;
    *record = (struct access_log_record){
        .remote_addr = request_peer(request),
        .authorization = well_known(request, HTTP_HEADER_AUTHORIZATION),
        .date = span_of(request->server->loop->clock.log_date, CLOCK_LOG_DATE_LEN),
        .method = h1_part_span(request->base, head->method),
        .target = h1_part_span(request->base, head->target),
        .protocol = span_of(lookups->protocol, sizeof(lookups->protocol)),
        .query = h1_part_span(request->base, head->query),
        .referer = well_known(request, HTTP_HEADER_REFERER),
        .user_agent = well_known(request, HTTP_HEADER_USER_AGENT),
        .status = request->response.status,
        .pid = request->server->pid,
        .body_bytes = request->response.body_bytes,
        .duration_ns = clock_mono_ns() - request->start_ns,
        .queue_ns = request->queue_ns,
        .lookup = &lookups->table,
    };
}

/* Sets record->path, if the format has it: to memory that the caller frees, or NULL. */
static char *
decode_path(struct access_log_record *record, const struct request *request, unsigned needs)
{
    if (!(needs & ACCESS_LOG_NEEDS_PATH)) {
        return NULL;
    }
    struct span path = h1_part_span(request->base, request->head.path);
    char *decoded = mem_alloc(path.n);
    record->path = span_of(decoded, uri_unquote(path, decoded));
    return decoded;
}

static bool
is_off(const struct request *request)
{
    const struct access_log *log = request->server->access_log;
    return request->response.logged || log == NULL || !access_log_enabled(log) ||
           request->server->observer.refused;
}

static void
count(struct request *request)
{
    if (UNLIKELY(log_statsd() != NULL) && !request->response.counted &&
        !request->server->observer.refused) {
        request->response.counted = true;
        statsd_request(log_statsd(), request->response.status, clock_mono_ns() - request->start_ns);
    }
}

static void
add_line(struct request *request)
{
    struct access_log *log = request->server->access_log;
    struct access_log_record record;
    struct lookups lookups;
    lookups_init(&lookups, request, NULL);
    fill_record(&record, request, &lookups);
    char *path = decode_path(&record, request, access_log_needs(log->format));
    access_log_add(log, &record);
    free(path);
    request->response.logged = true;
}

void
access_log_response(struct request *request)
{
    count(request);
    if (is_off(request)) {
        return;
    }
    struct loop *loop = request->server->loop;
    loop_lock(loop);
    clock_update_date(&loop->clock);
    add_line(request);
    loop_unlock(loop);
}

void
access_log_refusal(struct request *request, int status)
{
    const struct http_observer *observer = &request->server->observer;
    request->response.status = status;
    request->start_ns = clock_mono_ns();
    count(request);
    if (observer->refused) {
        observer->refused(observer->context, request, status);
    } else if (!is_off(request)) {
        add_line(request);
    }
}

bool
response_wants_lookup(const struct request *request)
{
    enum { BRIDGE = ACCESS_LOG_NEEDS_RESPONSE_HEADER | ACCESS_LOG_NEEDS_ENVIRON };
    return !is_off(request) && (access_log_needs(request->server->access_log->format) & BRIDGE);
}

/* Rendered before the lock is taken, because the lookups may run Python. */
void
response_log(struct request *request, const struct response_lookup *lookup)
{
    struct http_server *server = request->server;
    struct access_log_record record;
    struct lookups lookups;
    struct buf line;
    char date[CLOCK_LOG_DATE_LEN];
    buf_init(&line, LINE_MAX_BYTES);
    lookups_init(&lookups, request, lookup);
    fill_record(&record, request, &lookups);
    loop_lock(server->loop);
    clock_update_date(&server->loop->clock);
    memcpy(date, server->loop->clock.log_date, sizeof(date));
    loop_unlock(server->loop);
    record.date = span_of(date, sizeof(date));
    char *path = decode_path(&record, request, access_log_needs(server->access_log->format));
    if (access_log_render(server->access_log->format, &record, &line) == 0) {
        loop_lock(server->loop);
        access_log_add_line(server->access_log, buf_span(&line));
        loop_unlock(server->loop);
    }
    free(path);
    buf_fini(&line);
    request->response.logged = true;
}
