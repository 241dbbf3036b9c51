/* SPDX-License-Identifier: MIT */
/*
 * Time. Durations and deadlines use the monotonic clock in nanoseconds, so a step of the wall clock
 * moves none of them; wall-clock time is for texts only. `struct clock` caches the wall-clock
 * second with its rendered forms; it belongs to one loop and is guarded by its lock.
 */
#ifndef SAOLA_BASE_CLOCK_H
#define SAOLA_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_SEC INT64_C(1000000000)

enum {
    CLOCK_HTTP_DATE_LEN = 29, /* "Sun, 06 Nov 1994 08:49:37 GMT", RFC 9110 section 5.6.7 */
    CLOCK_LOG_DATE_LEN = 28,  /* "[22/Aug/2026:10:00:00 +0000]", the access log's %(t)s */
};

int64_t clock_mono_ns(void);

/* A setting in seconds as a duration: one that nobody will live to see the end of is cut, so that a
 * deadline does not overflow. */
static inline int64_t
clock_seconds(int64_t seconds)
{
    return (seconds < INT32_MAX ? seconds : INT32_MAX) * NS_PER_SEC;
}

struct clock {
    int64_t mono_ns;                         /* of the last clock_update() */
    int64_t real_sec;                        /* what the texts below say */
    char http_date[CLOCK_HTTP_DATE_LEN + 1]; /* GMT */
    char log_date[CLOCK_LOG_DATE_LEN + 1];   /* local time */
};

/* Reads both clocks; renders the texts anew when the second has changed. */
void clock_update(struct clock *clock);

/* Only the texts: for whoever needs the date in the middle of a turn that has taken long. */
void clock_update_date(struct clock *clock);

/* Renders `seconds` since the epoch; both write the length above and a NUL. */
void clock_render_http_date(int64_t seconds, char out[CLOCK_HTTP_DATE_LEN + 1]);
void clock_render_log_date(int64_t seconds, char out[CLOCK_LOG_DATE_LEN + 1]);

#endif
