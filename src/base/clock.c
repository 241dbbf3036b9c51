/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include "base/panic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A few milliseconds late does no harm to a text that shows seconds, and it costs a fifth. */
#ifdef CLOCK_REALTIME_COARSE
#define CLOCK_DATE CLOCK_REALTIME_COARSE
#else
#define CLOCK_DATE CLOCK_REALTIME
#endif

int64_t
clock_mono_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_SEC + now.tv_nsec;
}

/* The names are written out because strftime() follows the locale that the application sets. */
static const char *const MONTHS[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const WEEKDAYS[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

/* Renders into `out`; a year beyond four digits does not happen before 10000. */
static void
render(char *out, size_t length, const char *text)
{
    ASSERT(strlen(text) == length);
    memcpy(out, text, length + 1);
}

void
clock_render_http_date(int64_t seconds, char out[CLOCK_HTTP_DATE_LEN + 1])
{
    time_t when = (time_t)seconds;
    struct tm tm;
    gmtime_r(&when, &tm);
    char text[64];
    snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT", WEEKDAYS[tm.tm_wday],
             tm.tm_mday, MONTHS[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    render(out, CLOCK_HTTP_DATE_LEN, text);
}

void
clock_render_log_date(int64_t seconds, char out[CLOCK_LOG_DATE_LEN + 1])
{
    time_t when = (time_t)seconds;
    struct tm tm;
    localtime_r(&when, &tm);
    long minutes = tm.tm_gmtoff / 60;
    char text[64];
    snprintf(text, sizeof(text), "[%02d/%s/%04d:%02d:%02d:%02d %c%02ld%02ld]", tm.tm_mday,
             MONTHS[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
             minutes < 0 ? '-' : '+', labs(minutes) / 60, labs(minutes) % 60);
    render(out, CLOCK_LOG_DATE_LEN, text);
}

void
clock_update(struct clock *clock)
{
    clock->mono_ns = clock_mono_ns();
    clock_update_date(clock);
}

void
clock_update_date(struct clock *clock)
{
    struct timespec now;
    clock_gettime(CLOCK_DATE, &now);
    int64_t real_sec = now.tv_sec;
    if (real_sec != clock->real_sec) {
        clock->real_sec = real_sec;
        clock_render_http_date(real_sec, clock->http_date);
        clock_render_log_date(real_sec, clock->log_date);
    }
}
