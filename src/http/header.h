/* SPDX-License-Identifier: MIT */
/*
 * Names of request header fields: the numbers of the well-known ones (header.def), what WSGI calls
 * them, and the lookup from a name on the wire. Pure functions over constant tables.
 */
#ifndef SAOLA_HTTP_HEADER_H
#define SAOLA_HTTP_HEADER_H

#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

/* HTTP_HEADER_UNKNOWN is 0; the others follow in the order of header.def, without gaps.
 * HTTP_HEADERS_OF_n is the first one whose name has n bytes. */
enum http_header {
    HTTP_HEADER_UNKNOWN = 0,
#define HEADER_LENGTH(n) HTTP_HEADERS_OF_##n, HTTP_HEADERS_BEFORE_##n = HTTP_HEADERS_OF_##n - 1,
#define HEADER(id, name, key) HTTP_HEADER_##id,
#include "http/header.def"
    HTTP_HEADER_COUNT, /* one more than the last */
};

enum { HTTP_HEADER_NAME_MAX = 25 }; /* bytes of the longest well-known name */

struct http_header_info {
    struct span name; /* canonical spelling: "Content-Type" */
    struct span key;  /* in a WSGI environ: "CONTENT_TYPE", "HTTP_HOST" */
};

/* `id` is a well-known header, not HTTP_HEADER_UNKNOWN. */
const struct http_header_info *http_header_info(enum http_header id);

/* Whether a token of `n` bytes is the well-known name of as many, in any letter case. */
bool http_same_name(const char *token, const char *known, size_t n);

/* The number of a name, which is a token, in any letter case; or HTTP_HEADER_UNKNOWN. */
enum http_header http_header_lookup(struct span name);

/* What a byte may be part of: bits of http_char_class[byte]. */
enum http_char {
    HTTP_CHAR_TOKEN = 1 << 0,      /* token, RFC 9110 section 5.6.2 */
    HTTP_CHAR_UNDERSCORE = 1 << 1, /* the one that CGI names cannot tell from a hyphen */
    HTTP_CHAR_HOST = 1 << 2,       /* uri-host [":" port], and bytes of 0x80 and above */
    HTTP_CHAR_PATH_END = 1 << 3,   /* ? and # */
};

extern const uint8_t http_char_class[256];

static inline bool
http_is_token_char(unsigned char c)
{
    return http_char_class[c] & HTTP_CHAR_TOKEN;
}

/* The span is a token: not empty, and nothing but token characters. */
bool http_is_token(struct span s);

/* A member of a comma-separated list (RFC 9110 section 5.6.1), trimmed, is taken from the front of
 * *list. False when the list is exhausted. Empty members are returned as such. */
bool http_list_next(struct span *list, struct span *ret_member);

#endif
