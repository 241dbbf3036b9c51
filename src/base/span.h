/* SPDX-License-Identifier: MIT */
/*
 * A span is a view of bytes that somebody else owns: a pointer and a length, never NUL-terminated
 * by contract. Passed by value. Valid as long as the memory it points into.
 */
#ifndef SAOLA_BASE_SPAN_H
#define SAOLA_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *p;
    size_t n;
};

/* A span of a string literal. */
#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})

static inline struct span
span_of(const char *p, size_t n)
{
    return (struct span){p, n};
}

static inline struct span
span_str(const char *string)
{
    return (struct span){string, strlen(string)};
}

static inline bool
span_eq(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Lower case of an ASCII letter, any other byte as it is. */
static inline unsigned char
ascii_lower(unsigned char c)
{
    return (unsigned char)(c - 'A') < 26 ? (unsigned char)(c | 0x20) : c;
}

static inline bool
span_eq_nocase(struct span a, struct span b)
{
    if (a.n != b.n) {
        return false;
    }
    for (size_t i = 0; i < a.n; i++) {
        if (ascii_lower((unsigned char)a.p[i]) != ascii_lower((unsigned char)b.p[i])) {
            return false;
        }
    }
    return true;
}

/* `s` without the SP and HTAB at both ends (OWS of RFC 9110 section 5.6.3). */
static inline struct span
span_trim(struct span s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
        s.n--;
    }
    return s;
}

#endif
