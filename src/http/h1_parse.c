/* SPDX-License-Identifier: MIT */
/*
 * The lines of a request head. The search for the end of a line stops at the first control byte: it
 * is the CR LF, or an error on the spot, or there is none yet. A complete line is judged at once
 * and never looked at again; h1_head.c judges the whole when the empty line has come.
 */
#include "http/h1_parse.h"

#include "base/macros.h"
#include "http/h1_head.h"
#include "http/h1_request_line.h"
#include "http/h1_scan.h"

enum phase {
    PHASE_START,        /* an empty line may come (RFC 9112 section 2.2) */
    PHASE_REQUEST_LINE, /* the request line is incomplete */
    PHASE_FIELDS,
    PHASE_DONE,
    PHASE_FAILED,
};

enum {
    REQUEST_LINE_MAX = 8190, /* Gunicorn's clamps */
    FIELDS_MAX = 32768,
    FIELD_SIZE_DEFAULT = 8190,
    HEAD_BYTES_MAX = 1 << 30, /* offsets are 32 bits wide */
};

/* What one call of h1_parse_head() works on. */
struct input {
    struct h1_parser *parser;
    const struct h1_limits *limits;
    struct h1_head *head;
    char *data;
    size_t len;
};

void
h1_limits_set(struct h1_limits *limits, uint32_t line, uint32_t fields, uint32_t field_size)
{
    *limits = (struct h1_limits){0};
    limits->request_line = line == 0 ? HEAD_BYTES_MAX : MIN_OF(line, (uint32_t)REQUEST_LINE_MAX);
    limits->fields = fields == 0 || fields > FIELDS_MAX ? FIELDS_MAX : fields;
    limits->field_size =
        field_size == 0 ? FIELD_SIZE_DEFAULT : MIN_OF(field_size, (uint32_t)HEAD_BYTES_MAX);
    uint64_t head = (uint64_t)limits->fields * ((uint64_t)limits->field_size + 2) + 4;
    limits->head_bytes = (uint32_t)MIN_OF(head, (uint64_t)HEAD_BYTES_MAX);
}

void
h1_parser_init(struct h1_parser *parser)
{
    *parser = (struct h1_parser){0};
}

static COLD bool
fail(struct input *in, enum http_error error, size_t begin, size_t end)
{
    in->parser->phase = PHASE_FAILED;
    in->parser->error = error;
    in->parser->error_off = (uint32_t)begin;
    in->parser->error_len = (uint32_t)(end - begin);
    return false;
}

static COLD bool
fail_header(struct input *in, enum http_error error, const struct h1_header *field)
{
    return fail(in, error, field->name_off, field->name_off + (size_t)field->name_len);
}

/* The whole line, as far as it has arrived: its length goes into the message. */
static COLD bool
fail_too_long(struct input *in, enum http_error error)
{
    size_t begin = in->parser->line;
    const char *end = memmem(in->data + begin, in->len - begin, "\r\n", 2);
    return fail(in, error, begin, end != NULL ? (size_t)(end - in->data) : in->len);
}

/*
 * The search for the end of the current line. LINE_BAD: a control byte at *ret_end that is not part
 * of a CR LF; LINE_LONG: more than `limit` bytes without one.
 */
enum line { LINE_COMPLETE, LINE_MORE, LINE_BAD, LINE_LONG };

static inline enum line
find_line(struct input *in, size_t limit, bool allow_tab, size_t *ret_end)
{
    struct h1_parser *parser = in->parser;
    size_t line = parser->line;
    size_t stop = MIN_OF(in->len, line + limit + 1);
    size_t at = h1_scan(in->data, MIN_OF((size_t)parser->scan, stop), stop, allow_tab);

    parser->scan = (uint32_t)at;
    *ret_end = at;
    if (at == stop) {
        return at - line > limit ? LINE_LONG : LINE_MORE;
    }
    if (UNLIKELY(in->data[at] != '\r')) {
        return LINE_BAD;
    }
    if (at + 1 == in->len) {
        return LINE_MORE;
    }
    return LIKELY(in->data[at + 1] == '\n') ? LINE_COMPLETE : LINE_BAD;
}

static void
next_line(struct input *in, size_t end)
{
    in->parser->line = (uint32_t)end + 2;
    in->parser->scan = (uint32_t)end + 2;
}

/* The end of the token that begins at `at`; sets *ret_classes to the union of its bytes' classes.
 */
static inline size_t
token_end(const char *data, size_t at, size_t end, unsigned *ret_classes)
{
    unsigned classes = 0;

    while (at < end) {
        unsigned c = http_char_class[(unsigned char)data[at]];
        if (!(c & HTTP_CHAR_TOKEN)) {
            break;
        }
        classes |= c;
        at++;
    }
    *ret_classes = classes;
    return at;
}

/*
 * A line whose name is not directly followed by a colon. True if strip_header_spaces makes it
 * valid; *ret_colon is then where the colon is.
 */
static COLD bool
judge_name(struct input *in, size_t name_end, size_t end, size_t *ret_colon)
{
    size_t begin = in->parser->line;
    const char *colon = memchr(in->data + begin, ':', end - begin);

    if (colon == NULL || colon == in->data + begin) {
        return fail(in, HTTP_ERR_HEADER, begin, end);
    }
    *ret_colon = (size_t)(colon - in->data);
    struct span name = span_of(in->data + begin, *ret_colon - begin);
    while (in->limits->strip_header_spaces && name.n > 0 &&
           (name.p[name.n - 1] == ' ' || name.p[name.n - 1] == '\t')) {
        name.n--;
    }
    if (name.n == 0 || begin + name.n != name_end) {
        return fail(in, HTTP_ERR_HEADER_NAME, begin, begin + name.n);
    }
    return true;
}

/* Name, colon, blanks, value, blanks; the line is free of control bytes. */
static bool
parse_field(struct input *in, size_t end)
{
    const char *data = in->data;
    size_t begin = in->parser->line;
    unsigned classes;
    size_t name_end = token_end(data, begin, end, &classes);
    size_t colon = name_end;

    if (UNLIKELY(name_end == end || data[name_end] != ':' || name_end == begin)) {
        if (!judge_name(in, name_end, end, &colon)) {
            return false;
        }
    }
    if (UNLIKELY(name_end - begin > UINT16_MAX)) {
        return fail(in, HTTP_ERR_FIELD_SIZE, begin, end);
    }
    struct span value = span_trim(span_of(data + colon + 1, end - colon - 1));
    struct h1_header field = {
        .name_off = (uint32_t)begin,
        .name_len = (uint16_t)(name_end - begin),
        .value_off = (uint32_t)(value.p - data),
        .value_len = (uint32_t)value.n,
        .underscore = (classes & HTTP_CHAR_UNDERSCORE) != 0,
    };
    enum http_error error = h1_head_add(in->head, data, field);
    if (UNLIKELY(error != HTTP_OK)) {
        return fail_header(in, error, &field);
    }
    in->parser->field = (uint32_t)(end - begin) + 2;
    return true;
}

/* A continuation line, joined to the value before it with one space, in place. */
static void
fold_field(struct input *in, size_t end)
{
    struct h1_header *field = &in->head->items[in->head->count - 1];
    size_t begin = in->parser->line;
    struct span more = span_trim(span_of(in->data + begin, end - begin));
    char *to = in->data + field->value_off + field->value_len;

    *to = ' ';
    memmove(to + 1, more.p, more.n);
    field->value_len += 1 + (uint32_t)more.n;
    in->parser->field += (uint32_t)(end - begin) + 2;
}

/* Which limit the current line of the header section has, and what it is called. */
static size_t
field_limit(const struct input *in, bool folded, enum http_error *ret_error)
{
    const struct h1_parser *parser = in->parser;
    size_t used = folded ? parser->field : 0;
    size_t limit = in->limits->field_size > used + 2 ? in->limits->field_size - used - 2 : 0;
    size_t left = in->limits->head_bytes - (parser->line - parser->fields + 2); /* not negative */

    *ret_error = left < limit ? HTTP_ERR_HEAD_SIZE : HTTP_ERR_FIELD_SIZE;
    return MIN_OF(left, limit);
}

/* A control byte in a field: the name is judged first, then the value refused. */
static COLD bool
fail_field_byte(struct input *in, size_t at)
{
    size_t begin = in->parser->line;
    unsigned classes;
    size_t name_end = token_end(in->data, begin, at, &classes);
    size_t colon = name_end;

    if (name_end == at || in->data[name_end] != ':' || name_end == begin) {
        if (!judge_name(in, name_end, at, &colon)) {
            return false;
        }
    }
    return fail(in, HTTP_ERR_HEADER_VALUE, begin, name_end);
}

/* What the first byte of a line already decides. */
static bool
judge_line_start(struct input *in, bool folded)
{
    const struct h1_head *head = in->head;

    if (UNLIKELY(folded && !in->limits->permit_obsolete_folding)) {
        return fail_header(in, HTTP_ERR_OBSOLETE_FOLDING, &head->items[head->count - 1]);
    }
    if (UNLIKELY(!folded && head->count >= in->limits->fields &&
                 in->data[in->parser->line] != '\r')) {
        return fail(in, HTTP_ERR_FIELD_COUNT, 0, 0);
    }
    if (UNLIKELY(in->parser->line - in->parser->fields + 2 > in->limits->head_bytes)) {
        return fail(in, HTTP_ERR_HEAD_SIZE, 0, 0);
    }
    return true;
}

static bool
finish(struct input *in, size_t end)
{
    struct h1_part detail;

    in->head->head_len = (uint32_t)end + 2;
    enum http_error error = h1_head_finish(in->head, in->data, in->limits, &detail);
    if (UNLIKELY(error != HTTP_OK)) {
        return fail(in, error, detail.off, (size_t)detail.off + detail.len);
    }
    in->parser->phase = PHASE_DONE;
    return true;
}

/* One line of the header section. False: it is incomplete, or wrong, as the phase tells. */
static bool
field_line(struct input *in)
{
    size_t line = in->parser->line;
    if (line == in->len) {
        return false;
    }
    char first = in->data[line];
    bool folded = (first == ' ' || first == '\t') && in->head->count > 0;
    if (!judge_line_start(in, folded)) {
        return false;
    }
    enum http_error too_long;
    size_t limit = field_limit(in, folded, &too_long);
    size_t end;
    enum line found = find_line(in, limit, true, &end);

    switch (found) {
    case LINE_MORE:
        return false;
    case LINE_LONG:
        return fail(in, too_long, 0, 0);
    case LINE_BAD:
        return folded
                   ? fail_header(in, HTTP_ERR_HEADER_VALUE, &in->head->items[in->head->count - 1])
                   : fail_field_byte(in, end);
    case LINE_COMPLETE:
        break;
    }
    if (end == line) {
        return finish(in, end);
    }
    if (UNLIKELY(folded)) {
        fold_field(in, end);
    } else if (!parse_field(in, end)) {
        return false;
    }
    next_line(in, end);
    return true;
}

static bool
request_line(struct input *in)
{
    size_t end;

    switch (find_line(in, in->limits->request_line, false, &end)) {
    case LINE_MORE:
        return false;
    case LINE_LONG:
        return fail_too_long(in, HTTP_ERR_REQUEST_LINE_SIZE);
    case LINE_BAD:
        return fail(in, HTTP_ERR_REQUEST_LINE, in->parser->line, end + 1);
    case LINE_COMPLETE:
        break;
    }
    struct h1_request_line line = {.head = in->head, .limits = in->limits, .data = in->data};
    enum http_error error = h1_request_line_parse(&line, in->parser->line, end);
    if (UNLIKELY(error != HTTP_OK)) {
        return fail(in, error, line.detail.off, (size_t)line.detail.off + line.detail.len);
    }
    next_line(in, end);
    in->parser->fields = in->parser->line;
    in->parser->phase = PHASE_FIELDS;
    return true;
}

/* One empty line before the request line is skipped: old clients send it after a body. */
static bool
skip_empty_line(struct input *in)
{
    struct h1_parser *parser = in->parser;

    if (in->len == 0 || (in->data[0] == '\r' && in->len == 1)) {
        return false;
    }
    h1_head_reset(in->head);
    parser->line = in->data[0] == '\r' && in->data[1] == '\n' ? 2 : 0;
    parser->scan = parser->line;
    parser->phase = PHASE_REQUEST_LINE;
    return true;
}

enum h1_result
h1_parse_head(struct h1_parser *parser, const struct h1_limits *limits, char *data, size_t len,
              struct h1_head *head)
{
    struct input in = {.parser = parser, .limits = limits, .head = head, .len = len};
    bool go_on = true;

    in.data = data;
    while (go_on) {
        switch (parser->phase) {
        case PHASE_START:
            go_on = skip_empty_line(&in);
            break;
        case PHASE_REQUEST_LINE:
            go_on = request_line(&in);
            break;
        case PHASE_FIELDS:
            go_on = field_line(&in);
            break;
        default:
            go_on = false;
            break;
        }
    }
    if (parser->phase == PHASE_DONE) {
        return H1_DONE;
    }
    return parser->phase == PHASE_FAILED ? H1_ERROR : H1_MORE;
}

void
h1_parser_detail(const struct h1_parser *parser, const struct h1_limits *limits, const char *data,
                 struct buf *out)
{
    const char *p = data + parser->error_off;

    switch (parser->error) {
    case HTTP_ERR_REQUEST_LINE_SIZE:
        (void)!buf_printf(out, "%u > %u", parser->error_len, limits->request_line);
        break;
    case HTTP_ERR_VERSION_RANGE:
        (void)!buf_printf(out, "(%c, %c)", p[5], p[7]);
        break;
    default:
        if (parser->error_len > 0) {
            (void)!buf_append(out, p, parser->error_len);
        }
        break;
    }
}
