/* SPDX-License-Identifier: MIT */
/*
 * Rate-limited logging, for every line that a peer can trigger: each place in the code has a
 * limit of its own,
 *
 *     static struct log_limit limit;
 *     log_limited(&limit, LOG_LEVEL_WARNING, "Invalid request from ip=%s: %s", ip, text);
 *
 * which lets LOG_LIMIT_PER_SECOND lines pass in a second. The first line that passes after others
 * were suppressed is preceded by one that says how many. Callable from any thread, without locks.
 */
#ifndef SAOLA_LOG_LIMIT_H
#define SAOLA_LOG_LIMIT_H

#include "base/macros.h"
#include "log/log.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    LOG_LIMIT_PER_SECOND = 10,
    LOG_LIMIT_LINE_BYTES = 8192, /* a longer message is cut, and says so */
};

/* Static storage, zero to begin with. */
struct log_limit {
    _Atomic uint64_t state; /* the second in the upper half, lines in that second in the lower */
};

void log_limited(struct log_limit *limit, int level, const char *format, ...) PRINTF_LIKE(3, 4);

/* The decision alone, for who has to prepare a line at some cost: whether one may be logged now.
 * *ret_suppressed is what was suppressed before it, 0 almost always. `now_ns` is monotonic. */
bool log_limit_pass(struct log_limit *limit, int64_t now_ns, uint32_t *ret_suppressed);

#endif
