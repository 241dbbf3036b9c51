/* SPDX-License-Identifier: MIT */
#include "log/limit.h"

#include "base/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char MARK[] = " [cut]";

bool
log_limit_pass(struct log_limit *limit, int64_t now_ns, uint32_t *ret_suppressed)
{
    /* Second 0 is the initial state: count from 1. */
    uint64_t second = (uint32_t)(now_ns / NS_PER_SEC + 1);
    uint64_t old = atomic_load_explicit(&limit->state, memory_order_relaxed);
    uint64_t changed;
    uint32_t lines;
    do {
        lines = (uint32_t)old;
        if (old >> 32 != second) {
            changed = second << 32 | 1;
        } else if (lines < UINT32_MAX) {
            changed = old + 1;
        } else {
            changed = old;
        }
    } while (!atomic_compare_exchange_weak_explicit(&limit->state, &old, changed,
                                                    memory_order_relaxed, memory_order_relaxed));
    if (old >> 32 != second) {
        *ret_suppressed = lines > LOG_LIMIT_PER_SECOND ? lines - LOG_LIMIT_PER_SECOND : 0;
        return true;
    }
    *ret_suppressed = 0;
    return lines < LOG_LIMIT_PER_SECOND;
}

static void log_cut(int level, const char *format, va_list args) PRINTF_LIKE(2, 0);

static void
log_cut(int level, const char *format, va_list args)
{
    char line[LOG_LIMIT_LINE_BYTES];
    int length = vsnprintf(line, sizeof(line), format, args);
    if (length < 0) {
        return;
    }
    size_t n = (size_t)length;
    if (n >= sizeof(line)) {
        n = sizeof(line) - 1;
        memcpy(line + n - (sizeof(MARK) - 1), MARK, sizeof(MARK) - 1);
    }
    log_write(level, span_of(line, n));
}

void
log_limited(struct log_limit *limit, int level, const char *format, ...)
{
    if (!log_enabled(level)) {
        return;
    }
    int error = errno;
    uint32_t suppressed;
    if (!log_limit_pass(limit, clock_mono_ns(), &suppressed)) {
        return;
    }
    if (suppressed > 0) {
        log_printf(level, "%u line%s like the next one %s suppressed", suppressed,
                   suppressed == 1 ? "" : "s", suppressed == 1 ? "was" : "were");
    }
    errno = error; /* for %m */
    va_list args;
    va_start(args, format);
    log_cut(level, format, args);
    va_end(args);
    errno = error;
}
