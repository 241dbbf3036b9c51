/* SPDX-License-Identifier: MIT */
/*
 * The engine without processes and without Python: a loop, an HTTP server and an executor that runs
 * an application in C, all driven by the test, turn by turn.
 */
#ifndef SAOLA_TESTS_ENGINE_H
#define SAOLA_TESTS_ENGINE_H

#include "app/inline.h"
#include "base/clock.h"
#include "http/h1_message.h"
#include "http/server.h"
#include "log/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static inline void
engine_submit(void *context, struct request *request)
{
    struct executor *executor = context;
    executor->ops->submit(executor, request);
}

static inline void
engine_wait(void *context, struct request *request)
{
    struct executor *executor = context;
    executor->ops->wait(executor, request);
}

/* Limits are small enough for a test to reach them. The parts are the caller's. */
static inline void
engine_open(struct loop *loop, struct http_server *server, struct inline_executor *executor,
            struct metrics *metrics, const struct application *application)
{
    struct http_settings settings = {
        .server_token = SPAN("saola"),
        .spool_max_bytes = 1 << 20,
        .keepalive_ns = 60 * NS_PER_SEC, /* no test is that slow, on whatever machine */
        .max_connections = 4,
        .accept_batch = 1,
    };
    h1_limits_set(&settings.limits, 4094, 100, 8190);
    h1_policy_prepare(&settings.policy);
    struct http_handler handler = {&executor->executor, engine_submit, engine_wait};
    assert_int_equal(loop_init(loop), 0);
    loop->timeouts[TIMEOUT_LINGER].duration_ns = settings.keepalive_ns;
    assert_int_equal(http_server_init(server, loop, &settings, &handler, metrics), 0);
    inline_executor_init(executor, server, application);
    assert_int_equal(executor->executor.ops->start(&executor->executor), 0);
}

static inline void
engine_close(struct inline_executor *executor)
{
    struct http_server *server = executor->server;
    struct loop *loop = server->loop;
    executor->executor.ops->stop(&executor->executor);
    loop_lock(loop);
    http_server_fini(server);
    loop_unlock(loop);
    assert_int_equal(loop->blocks.used_bytes, 0);
    loop_fini(loop);
}

/* Reads, but runs no request. */
static inline void
engine_half_turn(struct loop *loop)
{
    assert_true(loop_wait(loop, 0) >= 0);
    loop_lock(loop);
    loop_turn(loop);
    loop_unlock(loop);
}

static inline void
engine_turn(struct inline_executor *executor)
{
    struct loop *loop = executor->server->loop;
    engine_half_turn(loop);
    executor->executor.ops->turn(&executor->executor);
    loop_lock(loop);
    loop_turn_end(loop);
    loop_unlock(loop);
}

#endif
