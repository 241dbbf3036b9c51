/* SPDX-License-Identifier: MIT */
/*
 * Every atom's value is text in up to three parts (%(r)s has three); some have a number too, for
 * the types that want one. The usual case, an atom without flags, width and precision, escapes its
 * text straight into the buffer; the others are rendered there and padded afterwards.
 */
#include "base/num.h"
#include "http/access_log_format.h"
#include "http/access_log_op.h"
#include "log/quote.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

enum { PARTS_MAX = 3 };

struct value {
    struct span parts[PARTS_MAX]; /* joined with a space when there are several */
    int n_parts;
    bool no_spaces; /* spaces are escaped too */
    bool has_number;
    bool negative;
    uint64_t number; /* its absolute value */
};

/* Memory for values that are not in the record. */
struct scratch {
    char text[ACCESS_LOG_USER_MAX];
};

static struct span
or_dash(struct span text)
{
    return text.p ? text : SPAN("-");
}

static struct value
text_value(struct span text)
{
    return (struct value){.parts = {or_dash(text)}, .n_parts = 1};
}

static struct value
number_value(uint64_t number, struct scratch *scratch)
{
    struct value value = text_value(span_of(scratch->text, num_to_dec(number, scratch->text)));
    value.has_number = true;
    value.number = number;
    return value;
}

/* -1 for a byte outside the alphabet of RFC 4648 section 4. */
static int
base64_digit(unsigned char c)
{
    if ((unsigned char)(c - 'A') < 26) {
        return c - 'A';
    }
    if ((unsigned char)(c - 'a') < 26) {
        return c - 'a' + 26;
    }
    if ((unsigned char)(c - '0') < 10) {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes `text` up to the first colon, and up to the end of `out`. As lenient as Python's
 * b64decode(): bytes outside the alphabet are skipped. Returns the length, -1 if it is no base64.
 */
static ssize_t
decode_user(struct span text, char *out, size_t size)
{
    uint32_t bits = 0;
    unsigned digits = 0; /* of the current four */
    unsigned pads = 0;
    size_t n = 0;
    for (size_t i = 0; i < text.n && digits + pads < 4; i++) {
        unsigned char c = (unsigned char)text.p[i];
        int digit = base64_digit(c);
        if (c == '=' && digits >= 2) {
            pads++;
        }
        if (digit < 0) {
            continue;
        }
        pads = 0;
        bits = bits << 6 | (uint32_t)digit;
        if (++digits > 1) {
            char decoded = (char)(bits >> (2 * (4 - digits)));
            if (decoded == ':' || n == size) {
                return (ssize_t)n;
            }
            out[n++] = decoded;
        }
        digits %= 4;
    }
    return digits == 0 || digits + pads >= 4 ? (ssize_t)n : -1;
}

/* Gunicorn's Logger._get_user(): the part before the colon of Basic credentials. */
size_t
access_log_user(struct span authorization, char out[ACCESS_LOG_USER_MAX])
{
    static const size_t scheme_bytes = sizeof("basic") - 1;
    if (!authorization.p || authorization.n < scheme_bytes ||
        !span_eq_nocase(span_of(authorization.p, scheme_bytes), SPAN("basic"))) {
        return 0;
    }
    const char *space = memchr(authorization.p, ' ', authorization.n);
    if (!space) {
        return 0;
    }
    struct span coded = span_of(space, authorization.n - (size_t)(space - authorization.p));
    return (size_t)MAX_OF(decode_user(coded, out, ACCESS_LOG_USER_MAX), 0);
}

static struct value
user_value(struct span authorization, struct scratch *scratch)
{
    size_t n = access_log_user(authorization, scratch->text);
    struct value value = text_value(span_of(n > 0 ? scratch->text : NULL, n));
    value.no_spaces = true;
    return value;
}

static struct value
duration_value(enum access_log_atom atom, int64_t duration_ns, struct scratch *scratch)
{
    uint64_t us = duration_ns > 0 ? (uint64_t)duration_ns / 1000 : 0;
    switch (atom) {
    case ATOM_SECONDS:
        return number_value(us / 1000000, scratch);
    case ATOM_MS:
        return number_value(us / 1000, scratch);
    case ATOM_US:
        return number_value(us, scratch);
    default:
        break;
    }
    int n = snprintf(scratch->text, sizeof(scratch->text), "%" PRIu64 ".%06" PRIu64, us / 1000000,
                     us % 1000000);
    return text_value(span_of(scratch->text, (size_t)n));
}

static struct value
pid_value(int pid, struct scratch *scratch)
{
    scratch->text[0] = '<';
    size_t n = 1 + num_to_dec((uint64_t)pid, scratch->text + 1);
    scratch->text[n++] = '>';
    return text_value(span_of(scratch->text, n));
}

/* Application's texts have a number if they are one. */
static struct value
environ_value(struct span text)
{
    struct value value = text_value(text);
    if (text.p) {
        value.negative = text.n > 0 && text.p[0] == '-';
        struct span digits = span_of(text.p + value.negative, text.n - value.negative);
        value.has_number = num_from_dec(digits, &value.number) == 0;
    }
    return value;
}

static struct span
record_span(const struct access_log_op *op, const struct access_log_record *record)
{
    const struct span *text = (const void *)((const char *)record + op->span);
    return *text;
}

static struct span
look_up(const struct access_log_op *op, const struct access_log_record *record)
{
    const struct access_log_lookup *lookup = record->lookup;
    struct span (*function)(void *context, struct span name) = NULL;
    if (lookup) {
        function = op->atom == ATOM_REQUEST_HEADER    ? lookup->request_header
                   : op->atom == ATOM_RESPONSE_HEADER ? lookup->response_header
                                                      : lookup->environ_item;
    }
    return function ? function(lookup->context, op->text) : span_of(NULL, 0);
}

static struct value
request_value(const struct access_log_record *record)
{
    return (struct value){
        .parts = {or_dash(record->method), or_dash(record->target), or_dash(record->protocol)},
        .n_parts = 3,
    };
}

static struct value
evaluate(const struct access_log_op *op, const struct access_log_record *record,
         struct scratch *scratch)
{
    struct span dash = {NULL, 0};
    switch ((enum access_log_atom)op->atom) {
    case ATOM_SPAN:
        return text_value(record_span(op, record));
    case ATOM_REMOTE_ADDR:
        return text_value(record->remote_addr.n > 0 ? record->remote_addr : dash);
    case ATOM_USER:
        return user_value(record->authorization, scratch);
    case ATOM_REQUEST:
        return request_value(record);
    case ATOM_STATUS:
        return record->status > 0 ? number_value((uint64_t)record->status, scratch)
                                  : text_value(dash);
    case ATOM_BODY_BYTES:
        return record->body_bytes >= 0 ? number_value((uint64_t)record->body_bytes, scratch)
                                       : text_value(dash);
    case ATOM_SECONDS:
    case ATOM_MS:
    case ATOM_US:
    case ATOM_DECIMAL_SECONDS:
        return duration_value((enum access_log_atom)op->atom, record->duration_ns, scratch);
    case ATOM_QUEUE_US:
        return duration_value(ATOM_US, record->queue_ns, scratch);
    case ATOM_PID:
        return pid_value(record->pid, scratch);
    case ATOM_REQUEST_HEADER:
    case ATOM_RESPONSE_HEADER:
        return text_value(look_up(op, record));
    case ATOM_ENVIRON:
        return environ_value(look_up(op, record));
    case ATOM_LITERAL:
    case ATOM_UNKNOWN:
        break;
    }
    return text_value(dash);
}

static const struct span ELLIPSIS = {"...", 3};
static const struct span ESCAPED_SPACE = {"\\x20", 4};

static int
append_text(struct buf *out, struct span text)
{
    size_t shown = MIN_OF(text.n, (size_t)ACCESS_LOG_TEXT_MAX);
    int rc = buf_reserve(out, shown * LOG_ESCAPE_BYTES + ELLIPSIS.n);
    if (UNLIKELY(rc < 0)) {
        return rc;
    }
    char *end = log_escape(buf_end(out), span_of(text.p, shown));
    buf_added(out, (size_t)(end - buf_end(out)));
    return shown == text.n ? 0 : buf_append_span(out, ELLIPSIS);
}

static int
append_words(struct buf *out, struct span text)
{
    const char *space;
    while ((space = memchr(text.p, ' ', text.n)) != NULL) {
        size_t word = (size_t)(space - text.p);
        int rc = append_text(out, span_of(text.p, word));
        if (rc == 0) {
            rc = buf_append_span(out, ESCAPED_SPACE);
        }
        if (rc < 0) {
            return rc;
        }
        text = span_of(space + 1, text.n - word - 1);
    }
    return append_text(out, text);
}

static inline int
append_value(struct buf *out, const struct value *value)
{
    if (UNLIKELY(value->no_spaces)) {
        return append_words(out, value->parts[0]);
    }
    int rc = append_text(out, value->parts[0]);
    for (int i = 1; i < value->n_parts && rc == 0; i++) {
        rc = buf_append(out, " ", 1);
        if (rc == 0) {
            rc = append_text(out, value->parts[i]);
        }
    }
    return rc;
}

/* How many of the `n` bytes of an escaped text fit into `limit` without cutting a sequence. */
static size_t
escaped_prefix(const char *text, size_t n, size_t limit)
{
    size_t end = 0;
    while (end < n) {
        size_t unit = text[end] != '\\' ? 1 : text[end + 1] == 'x' ? LOG_ESCAPE_BYTES : 2;
        if (unit > limit - end) {
            break;
        }
        end += unit;
    }
    return end;
}

/* Widens what was appended since `start` to `width`, at `at` bytes from there. */
static int
pad(struct buf *out, size_t start, size_t width, size_t at, char fill)
{
    size_t n = out->len - start;
    if (n >= width) {
        return 0;
    }
    size_t missing = width - n;
    int rc = buf_reserve(out, missing);
    if (rc < 0) {
        return rc;
    }
    char *where = buf_begin(out) + start + at;
    memmove(where + missing, where, n - at);
    memset(where, fill, missing);
    buf_added(out, missing);
    return 0;
}

static int
append_formatted_text(struct buf *out, const struct access_log_op *op, const struct value *value)
{
    size_t start = out->len;
    int rc = append_value(out, value);
    if (rc < 0) {
        return rc;
    }
    size_t n = out->len - start;
    if (op->type == 's' && n > op->precision) {
        out->len = start + escaped_prefix(buf_begin(out) + start, n, op->precision);
    }
    size_t at = op->flags & FLAG_LEFT ? out->len - start : 0;
    return pad(out, start, op->width, at, ' ');
}

/* Writes the sign and the base of a number as Python does; returns how many bytes. */
static size_t
render_sign(char *out, const struct access_log_op *op, bool negative)
{
    size_t n = 0;
    if (negative) {
        out[n++] = '-';
    } else if (op->flags & (FLAG_PLUS | FLAG_SPACE)) {
        out[n++] = op->flags & FLAG_PLUS ? '+' : ' ';
    }
    if (op->flags & FLAG_ALTERNATE && op->type != 'd' && op->type != 'f') {
        out[n++] = '0';
        out[n++] = op->type;
    }
    return n;
}

static size_t
render_digits(char out[64], const struct access_log_op *op, uint64_t number)
{
    switch (op->type) {
    case 'x':
        return (size_t)snprintf(out, 64, "%" PRIx64, number);
    case 'X':
        return (size_t)snprintf(out, 64, "%" PRIX64, number);
    case 'o':
        return (size_t)snprintf(out, 64, "%" PRIo64, number);
    default:
        return num_to_dec(number, out);
    }
}

/* The decimals of a whole number. */
static int
append_decimals(struct buf *out, const struct access_log_op *op)
{
    size_t decimals = op->precision == ACCESS_LOG_NO_PRECISION ? 6 : op->precision;
    if (decimals == 0 && !(op->flags & FLAG_ALTERNATE)) {
        return 0;
    }
    int rc = buf_append(out, ".", 1);
    return rc < 0 ? rc : pad(out, out->len, decimals, 0, '0');
}

static int
append_number(struct buf *out, const struct access_log_op *op, const struct value *value)
{
    size_t start = out->len;
    char text[64];
    size_t sign = render_sign(text, op, value->negative);
    int rc = buf_append(out, text, sign);
    if (rc == 0) {
        rc = buf_append(out, text, render_digits(text, op, value->number));
    }
    if (rc == 0 && op->type == 'f') {
        rc = append_decimals(out, op);
    } else if (rc == 0 && op->precision != ACCESS_LOG_NO_PRECISION) {
        rc = pad(out, start, sign + op->precision, sign, '0');
    }
    if (rc < 0) {
        return rc;
    }
    if (op->flags & FLAG_LEFT) {
        return pad(out, start, op->width, out->len - start, ' ');
    }
    bool zero = op->flags & FLAG_ZERO;
    return pad(out, start, op->width, zero ? sign : 0, zero ? '0' : ' ');
}

static int
append_op(struct buf *out, const struct access_log_op *op, const struct access_log_record *record)
{
    if (op->atom == ATOM_LITERAL) {
        return buf_append_span(out, op->text);
    }
    if (op->atom == ATOM_SPAN && LIKELY(op->plain)) {
        return append_text(out, or_dash(record_span(op, record)));
    }
    struct scratch scratch;
    struct value value = evaluate(op, record, &scratch);
    if (LIKELY(op->plain)) {
        return append_value(out, &value);
    }
    if (op->type != 's' && value.has_number) {
        return append_number(out, op, &value);
    }
    return append_formatted_text(out, op, &value);
}

int
access_log_render(const struct access_log_format *format, const struct access_log_record *record,
                  struct buf *out)
{
    size_t before = out->len;
    int rc = format->json ? access_log_render_json(record, out) : 0;
    for (size_t i = 0; i < format->n_ops && rc == 0; i++) {
        rc = append_op(out, &format->ops[i], record);
    }
    if (UNLIKELY(rc < 0)) {
        out->len = before;
    }
    return rc;
}
