/* SPDX-License-Identifier: MIT */
#include "proc/worker.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/random.h"
#include "config/config.h"
#include "http/h1_transfer.h"
#include "http/request.h"
#include "log/log.h"
#include "net/conn.h"
#include "net/listener.h"
#include "proc/mailboxes.h"
#include "proc/signals.h"
#include "proc/slot.h"
#include "proc/spawn.h"
#include "proc/worker_signals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WAIT_MAX_MS = 1000,     /* between two heartbeats of an idle worker */
    DRAIN_WAIT_MAX_MS = 25, /* while draining: how often it looks whether it is done */
    ACCEPT_BATCH_ALONE = 16,
    CROWDED_LOOK_MS = 20,
    GIVE_UP_MAX_MS = 100,
    GIVE_UP_PAUSE_US = 2000,
};

static const int64_t PARENT_LOOK_NS = NS_PER_SEC;
static const int64_t RESPONSE_SPOOL_MAX_BYTES = INT64_C(1) << 30;

static struct worker *
worker_of(struct inline_executor *executor)
{
    return CONTAINER_OF(executor, struct worker, executor);
}

/* --- settings --- */

static enum h1_header_map
header_map_from(const char *name)
{
    if (strcmp(name, "refuse") == 0) {
        return H1_MAP_REFUSE;
    }
    return strcmp(name, "dangerous") == 0 ? H1_MAP_DANGEROUS : H1_MAP_DROP;
}

static void
limits_from(struct h1_limits *limits, const struct config *cfg)
{
    h1_limits_set(limits, (uint32_t)MIN_OF(cfg->limit_request_line, UINT32_MAX),
                  (uint32_t)MIN_OF(cfg->limit_request_fields, UINT32_MAX),
                  (uint32_t)MIN_OF(cfg->limit_request_field_size, UINT32_MAX));
    limits->header_map = header_map_from(cfg->header_map);
    limits->permit_obsolete_folding = cfg->permit_obsolete_folding;
    limits->strip_header_spaces = cfg->strip_header_spaces;
    limits->permit_unconventional_http_method = cfg->permit_unconventional_http_method;
    limits->permit_unconventional_http_version = cfg->permit_unconventional_http_version;
    limits->casefold_http_method = cfg->casefold_http_method;
    limits->permit_missing_host = cfg->permit_missing_host;
}

static void
policy_from(struct worker *worker, struct h1_policy *policy, const struct config *cfg)
{
    worker->forwarder_headers = mem_array(cfg->forwarder_headers.count, sizeof(struct span));
    for (size_t i = 0; i < cfg->forwarder_headers.count; i++) {
        worker->forwarder_headers[i] = span_str(cfg->forwarder_headers.items[i]);
    }
    const struct config_dict *schemes = &cfg->secure_scheme_headers;
    worker->scheme_headers = mem_array(schemes->count, sizeof(struct h1_scheme_header));
    for (size_t i = 0; i < schemes->count; i++) {
        worker->scheme_headers[i].name = span_str(schemes->items[i].name);
        worker->scheme_headers[i].value = span_str(schemes->items[i].value);
    }
    *policy = (struct h1_policy){
        .forwarder_headers = worker->forwarder_headers,
        .forwarder_count = cfg->forwarder_headers.count,
        .scheme_headers = worker->scheme_headers,
        .scheme_count = schemes->count,
        .header_map = header_map_from(cfg->header_map),
    };
    h1_policy_prepare(policy);
}

static int
settings_from(struct worker *worker, struct http_settings *settings, char **ret_error)
{
    const struct config *cfg = worker->start->cfg;
    int rc =
        network_list_init(&worker->trusted, (const char *const *)cfg->forwarded_allow_ips.items,
                          cfg->forwarded_allow_ips.count);
    if (rc < 0) {
        *ret_error = mem_printf("forwarded_allow_ips: not a list of IP addresses and networks");
        return rc;
    }
    *settings = (struct http_settings){
        .trusted = worker->trusted,
        .server_token = span_str("saola"),
        .spool_directory = cfg->tmp_upload_dir ? cfg->tmp_upload_dir : cfg->worker_tmp_dir,
        .spool_max_bytes = RESPONSE_SPOOL_MAX_BYTES,
        .keepalive_ns = clock_seconds(cfg->keepalive),
        .keep_trailers = cfg->pre_request || cfg->post_request,
        .max_connections = (unsigned)MAX_OF(MIN_OF(cfg->worker_connections, UINT32_MAX), 1),
        .accept_batch = cfg->workers > 1 ? 1 : ACCEPT_BATCH_ALONE,
    };
    limits_from(&settings->limits, cfg);
    policy_from(worker, &settings->policy, cfg);
    return 0;
}

/* max_requests and up to max_requests_jitter more, so that workers do not all retire at once. */
static int64_t
choose_max_requests(const struct config *cfg)
{
    if (cfg->max_requests <= 0) {
        return 0;
    }
    int64_t more = random_up_to(cfg->max_requests_jitter);
    return cfg->max_requests < INT64_MAX - more ? cfg->max_requests + more : INT64_MAX;
}

/* --- what the parts call --- */

static void
flush_logs(void *context)
{
    struct worker *worker = context;
    access_log_flush(worker->access_log);
}

static void
handler_submit(void *context, struct request *request)
{
    struct executor *executor = context;
    executor->ops->submit(executor, request);
}

static void
handler_wait(void *context, struct request *request)
{
    struct executor *executor = context;
    executor->ops->wait(executor, request);
}

static bool
any_heir(void *context)
{
    const struct worker *worker = context;
    return siblings_any(&worker->siblings);
}

static int
pass_to_heir(void *context, struct conn *conn)
{
    const struct worker *worker = context;
    return siblings_pass(&worker->siblings, conn);
}

static int
pass_request_to_heir(void *context, struct request *request)
{
    const struct worker *worker = context;
    return siblings_pass_request(&worker->siblings, request);
}

static void
place(void *context, struct conn *conn)
{
    struct worker *worker = context;
    exchange_place(&worker->exchange, conn);
}

/* Everything that somebody else can take. True: some of it is left for want of room. Lock held. */
static bool
give_up(struct worker *worker)
{
    inline_executor_offer(&worker->executor, pass_request_to_heir, worker);
    return http_server_bequeath(&worker->server);
}

/* When requests that wait look for somebody who has time, if nobody has told them. */
static int
crowded(void *context)
{
    struct worker *worker = worker_of(context);
    bool again = exchange_spread(&worker->exchange);
    if (UNLIKELY(slot_is_ending(worker->start->slot))) {
        (void)give_up(worker);
        again = true;
    }
    return again ? CROWDED_LOOK_MS : WAIT_MAX_MS;
}

static void
begin_recycling(struct worker *worker)
{
    log_info("Autorestarting worker after current request.");
    slot_set_state(worker->start->slot, SLOT_RETIRING);
    worker_start_notify(worker->start);
}

/* Somebody wants to know how long requests take. */
static bool
is_timed(const struct worker *worker)
{
    return access_log_enabled(worker->access_log) || log_statsd() ||
           worker->server.observer.refused;
}

/* A request is about to run. */
static void
observe(void *context, struct request *request)
{
    struct worker *worker = worker_of(context);
    struct slot *slot = worker->start->slot;
    const struct h1_head *head = &request->head;
    int64_t now_ns = is_timed(worker) ? clock_mono_ns() : request->start_ns;
    request->queue_ns = now_ns - request->start_ns;
    request->start_ns = now_ns; /* the access log's times begin when the application does */
    slot_request_begin(slot, h1_part_span(request->base, head->method),
                       h1_part_span(request->base, head->target), request_peer(request), now_ns);
    worker->requests++;
    if (UNLIKELY(worker->requests == worker->max_requests)) {
        begin_recycling(worker);
    }
}

static void
beat(void *context)
{
    slot_heartbeat(worker_of(context)->start->slot, clock_mono_ns());
}

static void
parent_gone(struct watch *watch, unsigned events)
{
    (void)events;
    struct worker *worker = CONTAINER_OF(watch, struct worker, parent);
    atomic_store(&worker->orphaned, true);
    /* It stays readable, and the main thread may be in the application for long. */
    int rc = reactor_set(&worker->loop.reactor, watch, 0);
    (void)rc; /* removing does not fail */
}

/* --- life --- */

int
worker_init(struct worker *worker, const struct worker_start *start,
            const struct application *application, struct access_log *access_log, char **ret_error)
{
    memset(worker, 0, sizeof(*worker));
    worker->start = start;
    worker->access_log = access_log;
    worker->siblings = (struct siblings){
        .slots = start->slots,
        .mailboxes = start->mailboxes,
        .self = (uint32_t)slot_index(start->slots, start->slot),
    };
    worker->max_requests = choose_max_requests(start->cfg);
    worker->parent = (struct watch){.fd = start->parent_fd, .ready = parent_gone};
    struct http_settings settings;
    int rc = settings_from(worker, &settings, ret_error);
    if (rc < 0) {
        goto fail_settings;
    }
    rc = loop_init(&worker->loop);
    if (rc < 0) {
        *ret_error = mem_printf("cannot set up the event loop: %s", strerror(-rc));
        goto fail_settings;
    }
    worker->loop.turn_end = flush_logs;
    worker->loop.turn_end_context = worker;
    struct http_handler handler = {&worker->executor.executor, handler_submit, handler_wait};
    rc = http_server_init(&worker->server, &worker->loop, &settings, &handler,
                          &start->slot->metrics);
    if (rc < 0) {
        *ret_error = mem_printf("cannot set up the HTTP server: %s", strerror(-rc));
        goto fail_loop;
    }
    worker->server.access_log = access_log;
    worker->server.heirs = (struct http_heirs){worker, any_heir, pass_to_heir};
    inline_executor_init(&worker->executor, &worker->server, application);
    deadline_init(&worker->executor.deadline, &start->slot->request.deadline_ns,
                  clock_seconds(start->cfg->request_timeout), signals_deadline());
    worker->executor.observe = observe;
    worker->executor.idle = beat;
    worker->executor.context = &worker->executor;
    if (worker->siblings.self < start->mailboxes->count) {
        exchange_init(&worker->exchange, &worker->siblings, &worker->executor);
        worker->server.placement = (struct http_placement){worker, place};
        worker->executor.crowded = crowded;
    }
    return 0;
fail_loop:
    loop_fini(&worker->loop);
fail_settings:
    network_list_fini(&worker->trusted);
    free(worker->forwarder_headers);
    free(worker->scheme_headers);
    return rc;
}

bool
worker_is_leaving(const struct worker *worker)
{
    return worker->stopping || worker->drain_deadline_ns > 0;
}

/* What other workers give away comes in. */
static int
open_mailbox(struct worker *worker)
{
    const struct mailboxes *mailboxes = worker->start->mailboxes;
    uint32_t self = worker->siblings.self;
    if (self >= mailboxes->count) {
        return 0;
    }
    return h1_adopt_from(&worker->server, mailboxes->items[self].read_fd);
}

void
worker_set_server_token(struct worker *worker, struct span token)
{
    worker->server.settings.server_token = token;
}

int
worker_serve(struct worker *worker)
{
    const struct worker_start *start = worker->start;
    if (worker_is_leaving(worker)) {
        return 0; /* TERM came during the boot */
    }
    int *fds = mem_array(start->listener_count, sizeof(*fds));
    uint32_t *ids = mem_array(start->listener_count, sizeof(*ids));
    for (size_t i = 0; i < start->listener_count; i++) {
        fds[i] = start->listeners[i].fd;
        ids[i] = start->listeners[i].id;
    }
    http_server_listen(&worker->server, fds, ids, (unsigned)start->listener_count);
    free(fds);
    free(ids);
    int rc = worker->executor.executor.ops->start(&worker->executor.executor);
    if (rc < 0) {
        return rc;
    }
    worker->serving = true;
    loop_lock(&worker->loop);
    http_server_accept(&worker->server, true);
    rc = reactor_set(&worker->loop.reactor, &worker->parent, REACTOR_READ);
    if (rc == 0) {
        rc = open_mailbox(worker);
    }
    loop_unlock(&worker->loop);
    return rc;
}

/* Nothing but the request that was running is lost. Who takes the rest may need a moment to make
 * room. */
static void
give_up_at_last(struct worker *worker)
{
    struct loop *loop = &worker->loop;
    int64_t end_ns = clock_mono_ns() + GIVE_UP_MAX_MS * NS_PER_MS;
    bool left;
    slot_set_ending(worker->start->slot, SLOT_ENDS);
    do {
        loop_lock(loop);
        left = give_up(worker) && clock_mono_ns() < end_ns;
        loop_unlock(loop);
        if (left) {
            usleep(GIVE_UP_PAUSE_US);
        }
    } while (left);
}

void
worker_fini(struct worker *worker)
{
    give_up_at_last(worker);
    worker->executor.executor.ops->stop(&worker->executor.executor);
    loop_lock(&worker->loop);
    http_server_fini(&worker->server);
    loop_unlock(&worker->loop);
    loop_fini(&worker->loop);
    network_list_fini(&worker->trusted);
    free(worker->forwarder_headers);
    free(worker->scheme_headers);
}

int
worker_wait(struct worker *worker)
{
    const struct config *cfg = worker->start->cfg;
    bool draining = worker->drain_deadline_ns > 0;
    int max_ms = draining ? DRAIN_WAIT_MAX_MS : WAIT_MAX_MS;
    if (cfg->timeout > 0) {
        max_ms = (int)MIN_OF(max_ms, clock_seconds(cfg->timeout) / 2 / NS_PER_MS);
    }
    int wait_ms = MIN_OF(max_ms, worker->wait_ms);
    if (wait_ms > 0) {
        exchange_rest(&worker->exchange);
    }
    int n = loop_wait(&worker->loop, wait_ms);
    exchange_wake(&worker->exchange);
    return n;
}

/* The pipe says at once when the arbiter is dead; but a process that a hook has forked in the
 * arbiter holds the other end too, and may live for long. */
static void
look_for_parent(struct worker *worker, int64_t now_ns)
{
    worker->parent_seen_ns = now_ns;
    if (worker->drain_deadline_ns == 0 && getppid() != worker->start->arbiter_pid) {
        atomic_store(&worker->orphaned, true);
    }
}

/* Lock held. */
static bool
drained(struct worker *worker)
{
    int64_t now_ns = worker->loop.clock.mono_ns;
    if (now_ns >= worker->drain_deadline_ns) {
        return true;
    }
    if (worker->keeps_some || http_server_busy(&worker->server, now_ns)) {
        return false;
    }
    /* Sent by somebody who had not seen yet that this worker leaves. */
    return !h1_adopt(&worker->server);
}

bool
worker_turn(struct worker *worker)
{
    struct loop *loop = &worker->loop;
    struct slot *slot = worker->start->slot;
    loop_lock(loop);
    loop_turn(loop);
    slot_heartbeat(slot, loop->clock.mono_ns);
    if (UNLIKELY(loop->clock.mono_ns - worker->parent_seen_ns >= PARENT_LOOK_NS)) {
        look_for_parent(worker, loop->clock.mono_ns);
    }
    loop_unlock(loop);
    bool more = worker->executor.executor.ops->turn(&worker->executor.executor);
    slot_request_end(slot);
    if (UNLIKELY(atomic_load(&worker->orphaned))) {
        atomic_store(&worker->orphaned, false);
        log_info("Parent changed, shutting down: <Worker %d>", (int)getpid());
        worker->siblings.over = true; /* they have lost it too */
        worker_retire(worker);
    }
    loop_lock(loop);
    if (worker->drain_deadline_ns > 0) {
        worker->keeps_some = http_server_bequeath(&worker->server);
    }
    if (UNLIKELY(worker->exchange.waiting)) {
        (void)exchange_spread(&worker->exchange);
    }
    loop_turn_end(loop);
    http_server_resume(&worker->server);
    worker->wait_ms = more ? 0 : loop_timeout_ms(loop, WAIT_MAX_MS);
    bool ended = worker->stopping || (worker->drain_deadline_ns > 0 && drained(worker));
    loop_unlock(loop);
    return !ended;
}

void
worker_retire(struct worker *worker)
{
    if (worker->drain_deadline_ns > 0) {
        return;
    }
    struct loop *loop = &worker->loop;
    slot_set_state(worker->start->slot, SLOT_DRAINING);
    loop_lock(loop);
    clock_update(&loop->clock);
    worker->drain_deadline_ns =
        loop->clock.mono_ns + clock_seconds(worker->start->cfg->graceful_timeout);
    int rc = reactor_set(&loop->reactor, &worker->parent, 0);
    (void)rc; /* likewise */
    http_server_drain(&worker->server);
    for (size_t i = 0; worker->serving && i < worker->start->listener_count; i++) {
        listener_close(&worker->start->listeners[i]); /* refused is better than never answered */
    }
    worker_start_notify(worker->start); /* a successor is wanted */
    worker->keeps_some = http_server_bequeath(&worker->server);
    if (inline_executor_is_running(&worker->executor)) {
        /* A signal handler has interrupted the application, which may take long. */
        inline_executor_offer(&worker->executor, pass_request_to_heir, worker);
    }
    loop_unlock(loop);
    loop_wake(loop);
}

void
worker_stop(struct worker *worker)
{
    struct loop *loop = &worker->loop;
    worker->stopping = true;
    worker->executor.stopping = true;
    slot_set_ending(worker->start->slot, SLOT_ENDS);
    loop_lock(loop);
    (void)give_up(worker); /* what is left: when it has ended */
    loop_unlock(loop);
    loop_wake(loop);
}

void
worker_abandon(struct worker *worker)
{
    struct loop *loop = &worker->loop;
    worker_signals_forked();
    if (pthread_mutex_trylock(&loop->lock) == 0) {
        http_server_abandon(&worker->server);
        buf_clear(&worker->access_log->lines);
        loop_unlock(loop);
    } else {
        /* The standby held it, and is not here to give it back. The lists may be half changed. */
        pthread_mutex_init(&loop->lock, NULL);
    }
    for (size_t i = 0; i < worker->start->listener_count; i++) {
        listener_close(&worker->start->listeners[i]);
    }
    mailboxes_fini(worker->start->mailboxes);
}

void
worker_reopen_access_log(struct worker *worker)
{
    loop_lock(&worker->loop);
    access_log_reopen(worker->access_log);
    loop_unlock(&worker->loop);
}
