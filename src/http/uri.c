/* SPDX-License-Identifier: MIT */

#include "http/uri.h"

#include "base/num.h"

#include <errno.h>

static bool
is_alpha(unsigned char c)
{
    return (unsigned char)((c | 0x20) - 'a') < 26;
}

static bool
is_scheme_char(unsigned char c)
{
    return is_alpha(c) || (unsigned char)(c - '0') < 10 || c == '+' || c == '-' || c == '.';
}

/* Bytes of the scheme at the front, followed by a colon; 0 if there is none. */
static size_t
scheme_length(struct span s)
{
    if (s.n == 0 || !is_alpha((unsigned char)s.p[0])) {
        return 0;
    }
    size_t i = 1;
    while (i < s.n && is_scheme_char((unsigned char)s.p[i])) {
        i++;
    }
    return i < s.n && s.p[i] == ':' ? i : 0;
}

static struct span
take(struct span *rest, size_t n)
{
    struct span front = span_of(rest->p, n);
    rest->p += n;
    rest->n -= n;
    return front;
}

static void
take_authority(struct span *rest, struct uri_parts *parts)
{
    take(rest, 2); /* "//" */
    size_t n = 0;
    while (n < rest->n && rest->p[n] != '/' && rest->p[n] != '?' && rest->p[n] != '#') {
        n++;
    }
    parts->authority = take(rest, n);
}

/* Cuts *rest before the first `separator` and returns what follows it. */
static struct span
cut_at(struct span *rest, char separator)
{
    const char *at = rest->n > 0 ? memchr(rest->p, separator, rest->n) : NULL;
    if (at == NULL) {
        return span_of(rest->p + rest->n, 0);
    }
    struct span after = span_of(at + 1, rest->n - (size_t)(at + 1 - rest->p));
    rest->n = (size_t)(at - rest->p);
    return after;
}

static bool
brackets_balance(struct span authority)
{
    bool open = authority.n > 0 && memchr(authority.p, '[', authority.n) != NULL;
    bool close = authority.n > 0 && memchr(authority.p, ']', authority.n) != NULL;
    return open == close;
}

int
uri_split(struct span target, struct uri_parts *ret_parts)
{
    struct uri_parts parts = {0};
    struct span rest = target;

    if (rest.n == 0 || rest.p[0] != '/') {
        size_t n = scheme_length(rest);
        if (n > 0) {
            parts.scheme = take(&rest, n);
            take(&rest, 1);
        }
        if (rest.n >= 2 && memcmp(rest.p, "//", 2) == 0) {
            take_authority(&rest, &parts);
        }
    }
    if (!brackets_balance(parts.authority)) {
        return -EINVAL;
    }
    parts.fragment = cut_at(&rest, '#');
    parts.query = cut_at(&rest, '?');
    parts.path = rest;
    *ret_parts = parts;
    return 0;
}

/* The byte that "%xx" at the front of `s` stands for, or -1. */
static int
percent_byte(struct span s)
{
    if (s.n < 3 || s.p[0] != '%') {
        return -1;
    }
    int high = num_hex_digit((unsigned char)s.p[1]);
    int low = num_hex_digit((unsigned char)s.p[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

size_t
uri_unquote(struct span text, char *out)
{
    char *to = out;

    while (text.n > 0) {
        const char *percent = memchr(text.p, '%', text.n);
        size_t plain = percent != NULL ? (size_t)(percent - text.p) : text.n;
        memmove(to, text.p, plain);
        to += plain;
        take(&text, plain);
        if (text.n > 0) {
            int byte = percent_byte(text);
            *to++ = (char)(byte < 0 ? '%' : byte);
            take(&text, byte < 0 ? 1 : 3);
        }
    }
    return (size_t)(to - out);
}
