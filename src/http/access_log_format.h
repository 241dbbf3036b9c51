/* SPDX-License-Identifier: MIT */
/*
 * The setting access_log_format: a text with atoms such as %(h)s, compiled once, rendered per
 * request.
 *
 * The syntax is that of Python's % operator with names: %(NAME)[flags][width][.precision]TYPE, and
 * %% for a percent sign. Types: s, r, a (text), d, i, u, x, X, o, f, F (numbers; for the atoms s,
 * b, B, T, D, M, Q and {x}e). An unknown name renders `-`, like a value that is missing.
 *
 * No bytes of a client can forge a line or leave a quotation: in every value `"` becomes \", and
 * the backslash and bytes outside 0x20 to 0x7e become \xNN; so does the space in the user name (u),
 * which the usual formats do not quote. A width or precision counts the bytes that are logged, and
 * never cuts such a sequence.
 *
 * The text "json" is a format of its own: an object per line, ASCII, with these members in this
 * order, each there in every line, null if unknown: time (RFC 3339), remote_addr, user, method,
 * target, path, query, protocol, referer, user_agent (strings, escaped by log_escape_json());
 * status, body_bytes, duration_us, queue_us, pid (numbers).
 *
 * A compiled format is constant: any thread may render with it.
 */
#ifndef SAOLA_HTTP_ACCESS_LOG_FORMAT_H
#define SAOLA_HTTP_ACCESS_LOG_FORMAT_H

#include "base/buf.h"
#include "base/macros.h"
#include "base/span.h"

#include <stdint.h>

enum {
    ACCESS_LOG_TEXT_MAX = 16 * 1024, /* bytes of a value that are shown; the rest becomes "..." */
    ACCESS_LOG_USER_MAX = 256,       /* bytes of a user name that are shown */
    ACCESS_LOG_WIDTH_MAX = 1024,     /* of an atom's width, and of a number's precision */
};

struct access_log_format;

/* What a format needs beyond the plain fields of the record: a caller may leave out the others. */
enum access_log_need {
    ACCESS_LOG_NEEDS_USER = 1 << 0, /* record.authorization */
    ACCESS_LOG_NEEDS_PATH = 1 << 1, /* record.path */
    ACCESS_LOG_NEEDS_REQUEST_HEADER = 1 << 2,
    ACCESS_LOG_NEEDS_RESPONSE_HEADER = 1 << 3,
    ACCESS_LOG_NEEDS_ENVIRON = 1 << 4,
};

/* Values of atoms with names of their own. Each function returns a span that stays valid until the
 * next call, p == NULL for `-`. They are compared without case: names of header fields
 * arrive in lower case, keys as the format has them. The last of several fields counts. A function
 * that is NULL answers `-`. */
struct access_log_lookup {
    void *context;
    struct span (*request_header)(void *context, struct span name);  /* {name}i */
    struct span (*response_header)(void *context, struct span name); /* {name}o */
    struct span (*environ_item)(void *context, struct span key);     /* {key}e */
};

/* One request and its response. A span with p == NULL renders `-`, an empty one nothing. */
struct access_log_record {
    struct span remote_addr;   /* h; empty (a unix socket) renders `-` */
    struct span authorization; /* u: the value of the Authorization field, decoded here */
    struct span date;          /* t: struct clock's log_date */
    struct span method;        /* m, r */
    struct span target;        /* r: as received */
    struct span protocol;      /* H, r: "HTTP/1.1" */
    struct span path;          /* U: PATH_INFO, decoded */
    struct span query;         /* q */
    struct span referer;       /* f */
    struct span user_agent;    /* a */
    int status;                /* s; 0 renders `-` */
    int pid;                   /* p */
    int64_t body_bytes;        /* B, b: sent, without framing; negative: unknown */
    int64_t duration_ns;       /* T, M, D, L */
    int64_t queue_ns;          /* Q: complete, but not yet begun */
    const struct access_log_lookup *lookup; /* may be NULL */
};

/* 0, or -EINVAL with *ret_error, a text that says what is wrong at which position (the caller frees
 * it). */
int access_log_compile(const char *format, struct access_log_format **ret, char **ret_error)
    NODISCARD;
void access_log_format_free(struct access_log_format *format); /* NULL is ignored */

/* enum access_log_need, or-ed. */
unsigned access_log_needs(const struct access_log_format *format);

/* Appends the line with its line end. -ENOBUFS if `out` would exceed its maximum: nothing was
 * appended. */
int access_log_render(const struct access_log_format *format,
                      const struct access_log_record *record, struct buf *out) NODISCARD;

#endif
