/* SPDX-License-Identifier: MIT */
/*
 * The HTTP/1 request head (RFC 9112 sections 2 to 6): strict, incremental, without copies.
 *
 * h1_parse_head() is called with everything received of a head so far; when it says H1_MORE it is
 * called again with the same bytes and more, possibly at another address. It never looks again at a
 * line it has judged, judges a line as soon as it is complete and reports a limit as soon as it is
 * exceeded, so the cost per byte is constant however slowly the bytes arrive, and the result does
 * not depend on how they were cut. Results are offsets from the first byte of the head.
 *
 * The bytes are changed in two cases only, and in place: a folded value is joined with
 * permit_obsolete_folding, and the method gets upper case with casefold_http_method.
 *
 * The caller owns the structs and lends the first header array; a longer one is allocated and
 * released by h1_head_fini(). No locks: guard the structs as their owner is guarded.
 */
#ifndef SAOLA_HTTP_H1_PARSE_H
#define SAOLA_HTTP_H1_PARSE_H

#include "base/buf.h"
#include "base/span.h"
#include "http/errors.h"
#include "http/header.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum h1_result { H1_DONE, H1_MORE, H1_ERROR };

enum http_method {
    HTTP_METHOD_OTHER, /* any other token: see h1_head.method */
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_CONNECT,
    HTTP_METHOD_TRACE,
};

/* What happens to header names with an underscore (setting header_map). */
enum h1_header_map { H1_MAP_DROP, H1_MAP_REFUSE, H1_MAP_DANGEROUS };

/* Settings of the parser, constant while it runs. Sizes in bytes. Fill it with h1_limits_set(). */
struct h1_limits {
    uint32_t request_line; /* without CRLF */
    uint32_t fields;
    uint32_t field_size; /* name, colon, value and CRLF as received, folded lines included */
    uint32_t head_bytes; /* the header section with its empty line */
    enum h1_header_map header_map; /* for trailers; heads: struct h1_policy */
    unsigned permit_obsolete_folding : 1;
    unsigned strip_header_spaces : 1;
    unsigned permit_unconventional_http_method : 1;
    unsigned permit_unconventional_http_version : 1;
    unsigned casefold_http_method : 1;
    unsigned permit_missing_host : 1;
};

/* Zeroes `limits`, then sets the sizes from the three settings limit_request_line, _fields and
 * _field_size under Gunicorn's rules: line 0 is unlimited, beyond 8190 is 8190; fields 0 or beyond
 * 32768 is 32768; field size 0 is 8190. */
void h1_limits_set(struct h1_limits *limits, uint32_t line, uint32_t fields, uint32_t field_size);

/* A range of bytes of the head. */
struct h1_part {
    uint32_t off;
    uint32_t len;
};

static inline struct span
h1_part_span(const char *data, struct h1_part part)
{
    return span_of(data + part.off, part.len);
}

struct h1_header {
    uint32_t name_off;
    uint32_t value_off;
    uint32_t value_len; /* trimmed */
    uint16_t name_len;
    uint8_t id;         /* enum http_header; HTTP_HEADER_UNKNOWN for a name not in header.def */
    uint8_t underscore; /* the name contains one */
};

static inline struct span
h1_header_name(const char *data, const struct h1_header *header)
{
    return span_of(data + header->name_off, header->name_len);
}

static inline struct span
h1_header_value(const char *data, const struct h1_header *header)
{
    return span_of(data + header->value_off, header->value_len);
}

enum h1_scheme {
    H1_SCHEME_TRANSPORT, /* nobody said otherwise: https under TLS, else http */
    H1_SCHEME_HTTP,
    H1_SCHEME_HTTPS,
};

#define H1_NO_HEADER UINT16_MAX

/* A parsed head. Everything below `cap` is set by the parser. */
struct h1_head {
    struct h1_header *items; /* lent by the caller, or `grown` */
    struct h1_header *grown; /* owned; NULL while the lent array suffices */
    uint32_t cap;

    uint32_t count;    /* header fields in items */
    uint32_t head_len; /* bytes of the head with its empty line: the body starts here */
    struct h1_part method;
    struct h1_part target; /* as received */
    struct h1_part path;   /* not decoded; may be empty in absolute-form */
    struct h1_part query;  /* without the question mark */
    struct h1_part fragment;
    int64_t content_length; /* -1: no Content-Length, the body is empty or chunked */
    uint64_t seen[2];       /* well-known headers present: see h1_head_has() */

    /* Index in items of the first of each, or H1_NO_HEADER. */
    uint16_t host;
    uint16_t content_type;
    uint16_t content_length_field;
    uint16_t script_name; /* a SCRIPT_NAME field that is to be believed; set by the policy */

    uint8_t method_id; /* enum http_method */
    uint8_t version_major;
    uint8_t version_minor;
    uint8_t scheme; /* enum h1_scheme, set by the policy */

    bool chunked;
    bool keep_alive;      /* what the client wants: version and Connection */
    bool expect_continue; /* Expect: 100-continue from a client of 1.1 or later */
    bool upgrade;         /* Connection lists "upgrade" and there is an Upgrade field */
    bool coded_body;      /* gzip, deflate or compress under chunked: passed on, then close */
    bool has_underscore;  /* a name contains one: the policy has to look */
    bool has_unknown;     /* a name is not in header.def */
};

static inline bool
h1_head_has(const struct h1_head *head, enum http_header id)
{
    return (head->seen[id >> 6] >> (id & 63)) & 1;
}

/* Lends the head an array for its header fields; more than `cap` are allocated. */
void h1_head_init(struct h1_head *head, struct h1_header *items, uint32_t cap);
void h1_head_fini(struct h1_head *head);

/* The first field with this number, or NULL. */
const struct h1_header *h1_head_find(const struct h1_head *head, enum http_header id);

struct h1_parser {
    uint32_t line;   /* where the current line begins */
    uint32_t scan;   /* bytes before this one have been looked at */
    uint32_t fields; /* where the header section begins */
    uint32_t field;  /* bytes of the last field's lines, for the limit on folded ones */
    uint8_t phase;
    enum http_error error;
    uint32_t error_off; /* the offending bytes */
    uint32_t error_len;
};

void h1_parser_init(struct h1_parser *parser);

/* H1_DONE: `head` is complete, head->head_len bytes of data are it. H1_MORE: the head goes on
 * beyond len. H1_ERROR: parser->error says why; the connection cannot be used any further. */
enum h1_result h1_parse_head(struct h1_parser *parser, const struct h1_limits *limits, char *data,
                             size_t len, struct h1_head *head) NODISCARD;

/* Appends what was wrong, raw, as the `detail` that the renderers of http/errors.h take. `data` is
 * that of the last h1_parse_head(). */
void h1_parser_detail(const struct h1_parser *parser, const struct h1_limits *limits,
                      const char *data, struct buf *out);

#endif
