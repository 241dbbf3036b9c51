/* SPDX-License-Identifier: MIT */
/*
 * A line in JSON: room is reserved for the whole of it, as long as it can become, so that nothing
 * on the way can fail.
 */
#include "http/access_log_op.h"

#include "base/num.h"
#include "log/quote.h"

#include <string.h>

enum {
    FRAME_BYTES = 512, /* names, numbers, punctuation, the time */
    N_TEXTS = 9,
    DATE_BYTES = 28, /* "[22/Aug/2026:10:00:00 +0000]" */
};

static char *
put(char *out, struct span text)
{
    memcpy(out, text.p, text.n);
    return out + text.n;
}

/* `name` has everything up to the value: `,"user":`. */
static char *
put_text(char *out, struct span name, struct span text)
{
    out = put(out, name);
    if (!text.p) {
        return put(out, SPAN("null"));
    }
    size_t shown = MIN_OF(text.n, (size_t)ACCESS_LOG_TEXT_MAX);
    *out++ = '"';
    out = log_escape_json(out, span_of(text.p, shown));
    if (shown < text.n) {
        out = put(out, SPAN("..."));
    }
    *out++ = '"';
    return out;
}

/* Null if it is negative. */
static char *
put_number(char *out, struct span name, int64_t number)
{
    out = put(out, name);
    if (number < 0) {
        return put(out, SPAN("null"));
    }
    return out + num_to_dec((uint64_t)number, out);
}

/* 1 to 12; 0 if it is none. */
static unsigned
month_from(const char *name)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (unsigned i = 0; i < 12; i++) {
        if (memcmp(names + 3 * (size_t)i, name, 3) == 0) {
            return i + 1;
        }
    }
    return 0;
}

/* The access log's date in the form of RFC 3339 section 5.6; a span without bytes if it is none. */
static struct span
time_from(struct span date, char out[DATE_BYTES])
{
    unsigned month = date.n == DATE_BYTES ? month_from(date.p + 4) : 0;
    if (month == 0) {
        return (struct span){NULL, 0};
    }
    char *p = put(out, span_of(date.p + 8, 4));
    *p++ = '-';
    *p++ = (char)('0' + month / 10);
    *p++ = (char)('0' + month % 10);
    *p++ = '-';
    p = put(p, span_of(date.p + 1, 2));
    *p++ = 'T';
    p = put(p, span_of(date.p + 13, 8));
    p = put(p, span_of(date.p + 22, 3));
    *p++ = ':';
    p = put(p, span_of(date.p + 25, 2));
    return span_of(out, (size_t)(p - out));
}

/* The longest that texts, with their names, can become. */
static size_t
room_for(const struct span texts[N_TEXTS])
{
    size_t room = FRAME_BYTES;
    for (size_t i = 0; i < N_TEXTS; i++) {
        room += MIN_OF(texts[i].n, (size_t)ACCESS_LOG_TEXT_MAX) * LOG_ESCAPE_JSON_BYTES;
    }
    return room;
}

static int64_t
us_from(int64_t ns)
{
    return MAX_OF(ns, 0) / 1000;
}

/* The values of the members that are texts. `user` is memory for one of them. */
static void
gather_texts(const struct access_log_record *record, char user[ACCESS_LOG_USER_MAX],
             struct span texts[N_TEXTS])
{
    size_t user_bytes = access_log_user(record->authorization, user);
    const struct span gathered[N_TEXTS] = {
        span_of(record->remote_addr.n > 0 ? record->remote_addr.p : NULL, record->remote_addr.n),
        span_of(user_bytes > 0 ? user : NULL, user_bytes),
        record->method,
        record->target,
        record->path,
        record->query,
        record->protocol,
        record->referer,
        record->user_agent,
    };
    memcpy(texts, gathered, sizeof(gathered));
}

static char *
put_texts(char *out, const struct span texts[N_TEXTS])
{
#define MEMBER(name)                                   \
    {                                                  \
        ",\"" name "\":", sizeof(",\"" name "\":") - 1 \
    }
    static const struct span names[N_TEXTS] = {
        MEMBER("remote_addr"), MEMBER("user"),    MEMBER("method"),
        MEMBER("target"),      MEMBER("path"),    MEMBER("query"),
        MEMBER("protocol"),    MEMBER("referer"), MEMBER("user_agent"),
    };
#undef MEMBER
    for (size_t i = 0; i < N_TEXTS; i++) {
        out = put_text(out, names[i], texts[i]);
    }
    return out;
}

static char *
put_numbers(char *out, const struct access_log_record *record)
{
    out = put_number(out, SPAN(",\"status\":"), record->status > 0 ? record->status : -1);
    out = put_number(out, SPAN(",\"body_bytes\":"), record->body_bytes);
    out = put_number(out, SPAN(",\"duration_us\":"), us_from(record->duration_ns));
    out = put_number(out, SPAN(",\"queue_us\":"), us_from(record->queue_ns));
    return put_number(out, SPAN(",\"pid\":"), record->pid);
}

int
access_log_render_json(const struct access_log_record *record, struct buf *out)
{
    char user[ACCESS_LOG_USER_MAX];
    char date[DATE_BYTES];
    struct span texts[N_TEXTS];
    gather_texts(record, user, texts);
    int rc = buf_reserve(out, room_for(texts));
    if (UNLIKELY(rc < 0)) {
        return rc;
    }
    char *p = put_text(buf_end(out), SPAN("{\"time\":"), time_from(record->date, date));
    p = put_texts(p, texts);
    p = put_numbers(p, record);
    p = put(p, SPAN("}\n"));
    buf_added(out, (size_t)(p - buf_end(out)));
    return 0;
}
