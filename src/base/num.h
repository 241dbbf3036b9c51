/* SPDX-License-Identifier: MIT */
/*
 * Numbers and text, without locale, allocation or errno. Pure functions.
 */
#ifndef SAOLA_BASE_NUM_H
#define SAOLA_BASE_NUM_H

#include "base/macros.h"
#include "base/span.h"

#include <stdint.h>

enum { NUM_DEC_MAX = 20, NUM_HEX_MAX = 16 }; /* digits of UINT64_MAX */

/* Writes the digits (no NUL) and returns how many. */
size_t num_to_dec(uint64_t value, char out[NUM_DEC_MAX]);
size_t num_to_hex(uint64_t value, char out[NUM_HEX_MAX]); /* lower case */

/* The whole of `text` is digits: 0 and *ret_value. -EINVAL: empty or another byte; -ERANGE: beyond
 * INT64_MAX. */
int num_from_dec(struct span text, uint64_t *ret_value) NODISCARD;

/* The value of a hexadecimal digit, -1 for any other byte. */
static inline int
num_hex_digit(unsigned char c)
{
    if ((unsigned char)(c - '0') < 10) {
        return c - '0';
    }
    unsigned char lower = c | 0x20;
    return (unsigned char)(lower - 'a') < 6 ? lower - 'a' + 10 : -1;
}

#endif
