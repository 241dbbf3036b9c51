/* SPDX-License-Identifier: MIT */

#include "http/header.h"

#include "base/macros.h"
#include "base/panic.h"

#define TOKEN HTTP_CHAR_TOKEN
#define HOST HTTP_CHAR_HOST
#define END HTTP_CHAR_PATH_END

/* Token: RFC 9110 section 5.6.2. Host: unreserved, sub-delims, percent sign, colon and brackets of
 * RFC 3986 section 3.2.2. */
const uint8_t http_char_class[256] = {
    ['0' ... '9'] = TOKEN | HOST,
    ['A' ... 'Z'] = TOKEN | HOST,
    ['a' ... 'z'] = TOKEN | HOST,
    ['!'] = TOKEN | HOST,
    ['#'] = TOKEN | END,
    ['$'] = TOKEN | HOST,
    ['%'] = TOKEN | HOST,
    ['&'] = TOKEN | HOST,
    ['\''] = TOKEN | HOST,
    ['('] = HOST,
    [')'] = HOST,
    ['*'] = TOKEN | HOST,
    ['+'] = TOKEN | HOST,
    [','] = HOST,
    ['-'] = TOKEN | HOST,
    ['.'] = TOKEN | HOST,
    [':'] = HOST,
    [';'] = HOST,
    ['='] = HOST,
    ['?'] = END,
    ['['] = HOST,
    [']'] = HOST,
    ['^'] = TOKEN,
    ['_'] = TOKEN | HOST | HTTP_CHAR_UNDERSCORE,
    ['`'] = TOKEN,
    ['|'] = TOKEN,
    ['~'] = TOKEN | HOST,
    [0x80 ... 0xff] = HOST,
};

#undef TOKEN
#undef HOST
#undef END

static const struct http_header_info header_table[HTTP_HEADER_COUNT] = {
#define HEADER(id, name, key) \
    [HTTP_HEADER_##id] = {{(name), sizeof(name) - 1}, {(key), sizeof(key) - 1}},
#include "http/header.def"
};

/* The first header whose name has so many bytes; HTTP_HEADER_UNKNOWN: there is none. */
static const uint8_t first_of_length[HTTP_HEADER_NAME_MAX + 1] = {
#define HEADER_LENGTH(n) [n] = HTTP_HEADERS_OF_##n,
#define HEADER(id, name, key)
#include "http/header.def"
};

_Static_assert(HTTP_HEADER_COUNT <= 128, "struct h1_head.seen has a bit for each header");

const struct http_header_info *
http_header_info(enum http_header id)
{
    ASSERT(id > HTTP_HEADER_UNKNOWN && id < HTTP_HEADER_COUNT);
    return &header_table[id];
}

static inline uint64_t
load64(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word | UINT64_C(0x2020202020202020);
}

static inline uint32_t
load32(const char *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof(word));
    return word | UINT32_C(0x20202020);
}

/*
 * Setting bit 5 of every byte makes letters lower case and, among the characters of a token, makes
 * nothing else equal to a letter, a digit or a hyphen, which is all that well-known names consist
 * of.
 */
bool
http_same_name(const char *token, const char *known, size_t n)
{
    if (n >= 8) {
        size_t i = 0;
        for (; i + 8 <= n; i += 8) {
            if (load64(token + i) != load64(known + i)) {
                return false;
            }
        }
        return load64(token + n - 8) == load64(known + n - 8);
    }
    if (n >= 4) {
        return load32(token) == load32(known) && load32(token + n - 4) == load32(known + n - 4);
    }
    for (size_t i = 0; i < n; i++) {
        if ((token[i] | 0x20) != (known[i] | 0x20)) {
            return false;
        }
    }
    return true;
}

enum http_header
http_header_lookup(struct span name)
{
    if (name.n > HTTP_HEADER_NAME_MAX) {
        return HTTP_HEADER_UNKNOWN;
    }
    unsigned id = first_of_length[name.n];
    if (id == HTTP_HEADER_UNKNOWN) {
        return HTTP_HEADER_UNKNOWN;
    }
    for (; id < HTTP_HEADER_COUNT && header_table[id].name.n == name.n; id++) {
        if (http_same_name(name.p, header_table[id].name.p, name.n)) {
            return (enum http_header)id;
        }
    }
    return HTTP_HEADER_UNKNOWN;
}

bool
http_is_token(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!http_is_token_char((unsigned char)s.p[i])) {
            return false;
        }
    }
    return s.n > 0;
}

bool
http_list_next(struct span *list, struct span *ret_member)
{
    if (list->p == NULL) {
        return false;
    }
    const char *comma = list->n > 0 ? memchr(list->p, ',', list->n) : NULL;
    size_t n = comma != NULL ? (size_t)(comma - list->p) : list->n;
    *ret_member = span_trim(span_of(list->p, n));
    *list = comma != NULL ? span_of(comma + 1, list->n - n - 1) : span_of(NULL, 0);
    return true;
}
