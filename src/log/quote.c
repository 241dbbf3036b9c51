/* SPDX-License-Identifier: MIT */
/*
 * The access log escapes several texts per request, nearly all of them clean, so log_escape()
 * copies 16 or 8 bytes at a time while none of them needs an escape. A text's last, shorter piece
 * is covered by a block that ends with it and overlaps the one before.
 */
#include "log/quote.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static const char HEX[] = "0123456789abcdef";
static const char ELLIPSIS[] = "...";

enum { ELLIPSIS_LEN = sizeof(ELLIPSIS) - 1 };

static inline bool
needs_escape(unsigned char c)
{
    return c < 0x20 || c > 0x7e || c == '"' || c == '\\';
}

static size_t
escape_hex(char *out, unsigned char c)
{
    out[0] = '\\';
    out[1] = 'x';
    out[2] = HEX[c >> 4];
    out[3] = HEX[c & 15];
    return 4;
}

/* Writes what `c` becomes and returns how many bytes that is. */
static size_t
escape_byte(char *out, unsigned char c)
{
    if (LIKELY(!needs_escape(c))) {
        *out = (char)c;
        return 1;
    }
    if (c == '"') {
        out[0] = '\\';
        out[1] = '"';
        return 2;
    }
    return escape_hex(out, c);
}

static char *
escape_bytes(char *out, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out += escape_byte(out, (unsigned char)p[i]);
    }
    return out;
}

#ifdef __SSE2__

enum { BLOCK = 16 };

/* Copies one block; whether none of its bytes needs an escape. */
static inline bool
copy_clean(char *out, const char *p)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
    _mm_storeu_si128((__m128i *)(void *)out, bytes);
    /* Compared as signed numbers, bytes from 0x80 on are below 0x20 too. */
    __m128i bad = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
    bad = _mm_or_si128(bad, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)));
    bad = _mm_or_si128(bad, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')));
    bad = _mm_or_si128(bad, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    return _mm_movemask_epi8(bad) == 0;
}

#else

enum { BLOCK = 8 };

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* Whether a byte of the word may be zero; never false if one is. */
static inline uint64_t
has_zero(uint64_t word)
{
    return (word - EACH_BYTE(1)) & ~word;
}

static inline bool
copy_clean(char *out, const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    memcpy(out, &word, sizeof(word));
    uint64_t bad = word | ((word - EACH_BYTE(0x20)) & ~word);
    bad |= has_zero(word ^ EACH_BYTE('"')) | has_zero(word ^ EACH_BYTE('\\'));
    bad |= has_zero(word ^ EACH_BYTE(0x7f));
    return (bad & EACH_BYTE(0x80)) == 0;
}

#endif

char *
log_escape(char *out, struct span text)
{
    const char *p = text.p;
    const char *end = p + text.n;
    bool clean = false; /* the block before came out as it was */
    while ((size_t)(end - p) >= BLOCK) {
        clean = copy_clean(out, p);
        out = LIKELY(clean) ? out + BLOCK : escape_bytes(out, p, BLOCK);
        p += BLOCK;
    }
    size_t rest = (size_t)(end - p);
    size_t before = BLOCK - rest;
    if (clean && copy_clean(out - before, p - before)) {
        return out + rest;
    }
    return escape_bytes(out, p, rest);
}

/* The character at the front of `text` (of at least one byte) in well-formed UTF-8 (RFC 3629
 * section 4): how many bytes it has, 0 if it is none. */
static size_t
utf8_char(struct span text, uint32_t *ret_char)
{
    unsigned char first = (unsigned char)text.p[0];
    size_t n = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (n == 0 || n > text.n || first > 0xf4) {
        return 0;
    }
    uint32_t value = n == 1 ? first : first & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if ((c & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (c & 0x3f);
    }
    bool overlong = (n == 3 && value < 0x800) || (n == 4 && value < 0x10000);
    if (overlong || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        return 0;
    }
    *ret_char = value;
    return n;
}

static char *
escape_u(char *out, uint32_t unit)
{
    *out++ = '\\';
    *out++ = 'u';
    for (int shift = 12; shift >= 0; shift -= 4) {
        *out++ = HEX[unit >> shift & 15];
    }
    return out;
}

static char *
escape_json_char(char *out, uint32_t c)
{
    if (c >= 0x10000) {
        c -= 0x10000;
        out = escape_u(out, 0xd800 + (c >> 10));
        return escape_u(out, 0xdc00 + (c & 0x3ff));
    }
    if (c > 0x7e || c < 0x20) {
        return escape_u(out, c);
    }
    if (c == '"') {
        *out++ = '\\';
    }
    *out++ = (char)c;
    return out;
}

/* Writes the character at *p and moves *p behind it. */
static char *
escape_json_next(char *out, const char **p, const char *end)
{
    uint32_t c = 0;
    size_t n = **p == '\\' ? 0 : utf8_char(span_of(*p, (size_t)(end - *p)), &c);
    if (n == 0) {
        *out++ = '\\';
        out += escape_hex(out, (unsigned char)**p);
    } else {
        out = escape_json_char(out, c);
    }
    *p += MAX_OF(n, (size_t)1);
    return out;
}

char *
log_escape_json(char *out, struct span text)
{
    const char *p = text.p;
    const char *end = p + text.n;
    while (p < end) {
        if ((size_t)(end - p) >= BLOCK && LIKELY(copy_clean(out, p))) {
            out += BLOCK;
            p += BLOCK;
            continue;
        }
        const char *stop = p + MIN_OF((size_t)(end - p), (size_t)BLOCK);
        while (p < stop) {
            out = escape_json_next(out, &p, end);
        }
    }
    return out;
}

/* As C writes a byte of a string; returns how many bytes that is. */
static size_t
quote_byte(char *out, unsigned char c)
{
    static const char SIMPLE[][2] = {{'\n', 'n'}, {'\r', 'r'},  {'\t', 't'},
                                     {'"', '"'},  {'\'', '\''}, {'\\', '\\'}};
    for (size_t i = 0; i < ARRAY_LEN(SIMPLE); i++) {
        if (c == (unsigned char)SIMPLE[i][0]) {
            out[0] = '\\';
            out[1] = SIMPLE[i][1];
            return 2;
        }
    }
    if (c < 0x20 || c > 0x7e) {
        return escape_hex(out, c);
    }
    *out = (char)c;
    return 1;
}

/* How much of `text` fits into `room` bytes when it is quoted. *ret_bytes is what that takes. */
static size_t
quote_fit(struct span text, size_t room, size_t *ret_bytes)
{
    char ignored[LOG_ESCAPE_BYTES];
    size_t used = 0;
    size_t i = 0;
    for (; i < text.n; i++) {
        size_t n = quote_byte(ignored, (unsigned char)text.p[i]);
        if (n > room - used) {
            break;
        }
        used += n;
    }
    *ret_bytes = used;
    return i;
}

/* Writes `text` quoted, at most `room` bytes, the end marked if it is not all of it. */
static size_t
quote(char *out, size_t room, struct span text)
{
    struct span shown = span_of(text.p, MIN_OF(text.n, (size_t)LOG_QUOTE_MAX));
    size_t bytes;
    size_t fit = quote_fit(shown, room, &bytes);
    bool cut = fit < text.n;
    if (cut) {
        fit = quote_fit(shown, room - MIN_OF(room, (size_t)ELLIPSIS_LEN), &bytes);
    }
    char *p = out;
    for (size_t i = 0; i < fit; i++) {
        p += quote_byte(p, (unsigned char)text.p[i]);
    }
    if (cut && room >= ELLIPSIS_LEN) {
        memcpy(p, ELLIPSIS, ELLIPSIS_LEN);
        p += ELLIPSIS_LEN;
    }
    return (size_t)(p - out);
}

void
log_quote(struct buf *out, struct span text)
{
    size_t room = MIN_OF(text.n, (size_t)LOG_QUOTE_MAX) * LOG_ESCAPE_BYTES + ELLIPSIS_LEN;
    room = MIN_OF(room, out->max - out->len);
    if (buf_reserve(out, room) < 0) {
        return;
    }
    buf_added(out, quote(buf_end(out), room, text));
}

const char *
log_quote_text(char *out, size_t size, struct span text)
{
    out[quote(out, size - 1, text)] = '\0';
    return out;
}
