/* SPDX-License-Identifier: MIT */
/*
 * The search that a request head spends its time in: the next control byte, which is the end of a
 * line or an error. 16 bytes at a time where SSE2 is (every x86-64), 8 at a time elsewhere and for
 * what is left. Never reads beyond `to`. Pure functions. The fields of responses are checked by
 * them too.
 */
#ifndef SAOLA_HTTP_H1_SCAN_H
#define SAOLA_HTTP_H1_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* A byte that ends the search: 0x00-0x1f and 0x7f, but not TAB if `allow_tab`. */
static inline bool
h1_scan_stops(unsigned char c, bool allow_tab)
{
    return (c < 0x20 && !(allow_tab && c == '\t')) || c == 0x7f;
}

/* None of the 8 bytes is below 0x20 or 0x7f. */
static inline bool
h1_scan_clean(const char *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    uint64_t low = (word - ones * 0x20) & ~word;
    uint64_t del = word ^ (ones * 0x7f);
    del = (del - ones) & ~del;
    return ((low | del) & (ones * 0x80)) == 0;
}

/* The index of the first such byte in data[from, to), or `to`. */
static inline size_t
h1_scan(const char *data, size_t from, size_t to, bool allow_tab)
{
#ifdef __SSE2__
    const __m128i last_control = _mm_set1_epi8(0x1f);
    const __m128i del = _mm_set1_epi8(0x7f);
    const __m128i tab = _mm_set1_epi8('\t');

    for (; to - from >= 16; from += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(data + from));
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
        if (allow_tab) {
            control = _mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), control);
        }
        control = _mm_or_si128(control, _mm_cmpeq_epi8(bytes, del));
        unsigned mask = (unsigned)_mm_movemask_epi8(control);
        if (mask != 0) {
            return from + (size_t)__builtin_ctz(mask);
        }
    }
#endif
    while (to - from >= 8 && h1_scan_clean(data + from)) {
        from += 8;
    }
    while (from < to && !h1_scan_stops((unsigned char)data[from], allow_tab)) {
        from++;
    }
    return from;
}

#endif
