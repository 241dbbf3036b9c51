/* SPDX-License-Identifier: MIT */
#include "config/text.h"

#include "base/num.h"
#include "base/panic.h"

#include <stdbool.h>
#include <string.h>

void
text_init(struct buf *text)
{
    buf_init(text, SIZE_MAX / 4);
}

char *
text_take(struct buf *text)
{
    text_add_bytes(text, "", 1);
    ASSERT(text->off == 0);
    char *string = text->data;
    text_init(text);
    return string;
}

void
text_add_bytes(struct buf *text, const char *bytes, size_t n)
{
    int rc = buf_append(text, bytes, n);
    ASSERT(rc == 0);
}

void
text_add(struct buf *text, const char *string)
{
    text_add_bytes(text, string, strlen(string));
}

void
text_add_int(struct buf *text, int64_t value)
{
    char digits[NUM_DEC_MAX];
    uint64_t magnitude = (uint64_t)value;

    if (value < 0) {
        text_add(text, "-");
        magnitude = 0 - magnitude;
    }
    text_add_bytes(text, digits, num_to_dec(magnitude, digits));
}

/* The length of the UTF-8 sequence at `s`, 0 if there is none. Overlong forms and surrogates are
 * left to whoever decodes: this decides about escaping only. */
static size_t
utf8_len(const unsigned char *s)
{
    size_t n = s[0] >= 0xF0 && s[0] < 0xF5 ? 4 : s[0] >= 0xE0 ? 3 : 2;

    if (s[0] < 0xC2 || s[0] >= 0xF5) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return n;
}

static void
add_hex(struct buf *text, const char *prefix, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";

    text_add(text, prefix);
    text_add_bytes(text, &digits[byte >> 4], 1);
    text_add_bytes(text, &digits[byte & 15], 1);
}

static void
add_ascii(struct buf *text, unsigned char c, char quote)
{
    static const char special[] = "\\\n\r\t";
    static const char *const escaped[] = {"\\\\", "\\n", "\\r", "\\t"};
    const char *found = strchr(special, c);

    if (found != NULL) {
        text_add(text, escaped[found - special]);
    } else if (c < 0x20 || c == 0x7F) {
        add_hex(text, "\\x", c);
    } else {
        text_add(text, c == (unsigned char)quote ? "\\" : "");
        text_add_bytes(text, (const char *)&c, 1);
    }
}

void
text_add_repr(struct buf *text, const char *string)
{
    bool apostrophes_only = strchr(string, '\'') != NULL && strchr(string, '"') == NULL;
    char quote = apostrophes_only ? '"' : '\'';
    const unsigned char *s = (const unsigned char *)string;

    text_add_bytes(text, &quote, 1);
    while (*s != '\0') {
        size_t n = *s < 0x80 ? 1 : utf8_len(s);
        if (*s < 0x80) {
            add_ascii(text, *s, quote);
        } else if (n > 0) {
            text_add_bytes(text, (const char *)s, n);
        } else {
            add_hex(text, "\\udc", *s);
            n = 1;
        }
        s += n;
    }
    text_add_bytes(text, &quote, 1);
}
