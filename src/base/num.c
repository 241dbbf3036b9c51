/* SPDX-License-Identifier: MIT */
#include "base/num.h"

#include <errno.h>
#include <string.h>

size_t
num_to_dec(uint64_t value, char out[NUM_DEC_MAX])
{
    char digits[NUM_DEC_MAX];
    size_t at = NUM_DEC_MAX;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    memcpy(out, digits + at, NUM_DEC_MAX - at);
    return NUM_DEC_MAX - at;
}

size_t
num_to_hex(uint64_t value, char out[NUM_HEX_MAX])
{
    char digits[NUM_HEX_MAX];
    size_t at = NUM_HEX_MAX;
    do {
        digits[--at] = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value > 0);
    memcpy(out, digits + at, NUM_HEX_MAX - at);
    return NUM_HEX_MAX - at;
}

int
num_from_dec(struct span text, uint64_t *ret_value)
{
    if (text.n == 0) {
        return -EINVAL;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned digit = (unsigned)(unsigned char)text.p[i] - '0';
        if (digit > 9) {
            return -EINVAL;
        }
        if (value > ((uint64_t)INT64_MAX - digit) / 10) {
            return -ERANGE;
        }
        value = value * 10 + digit;
    }
    *ret_value = value;
    return 0;
}
