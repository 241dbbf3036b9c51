/* SPDX-License-Identifier: MIT */
/*
 * A state per place in the grammar of RFC 9112 section 7.1, a function per group of states, a byte
 * at a time. Chunk data is not looked at.
 */
#include "http/h1_chunked.h"

#include "base/macros.h"
#include "base/num.h"

enum state {
    STATE_SIZE,
    STATE_SIZE_BLANK, /* blanks after the size: an extension must follow */
    STATE_SIZE_LF,
    STATE_EXTENSION,
    STATE_EXTENSION_LF,
    STATE_DATA,
    STATE_DATA_CR,
    STATE_DATA_LF,
    STATE_TRAILER, /* the beginning of a line */
    STATE_NAME,
    STATE_NAME_BLANK, /* before the colon, with strip_header_spaces */
    STATE_BEFORE_VALUE,
    STATE_VALUE,
    STATE_VALUE_LF,
    STATE_LAST_LF,
    STATE_DONE,
    STATE_FAILED,
};

void
h1_chunked_init(struct h1_chunked *chunked, struct buf *trailers)
{
    *chunked = (struct h1_chunked){.trailers = trailers, .state = STATE_SIZE};
}

/* Both end the step: what was wrong is in detail[], or is said here. */
static COLD void
fail(struct h1_chunked *chunked, enum http_error error)
{
    chunked->state = STATE_FAILED;
    chunked->error = error;
}

static COLD void
fail_saying(struct h1_chunked *chunked, enum http_error error, struct span detail)
{
    chunked->detail_len = (uint8_t)MIN_OF(detail.n, sizeof(chunked->detail));
    memcpy(chunked->detail, detail.p, chunked->detail_len);
    fail(chunked, error);
}

static void
note(struct h1_chunked *chunked, unsigned char c)
{
    if (chunked->detail_len < sizeof(chunked->detail)) {
        chunked->detail[chunked->detail_len++] = (char)c;
    }
}

static void
begin_line(struct h1_chunked *chunked, enum state state)
{
    chunked->state = (uint8_t)state;
    chunked->line = 0;
    chunked->detail_len = 0;
}

/* The line with a chunk's size is complete. */
static void
end_size(struct h1_chunked *chunked)
{
    begin_line(chunked, chunked->left > 0 ? STATE_DATA : STATE_TRAILER);
}

/* chunk-size = 1*HEXDIG; leading zeros count against the length of the line only. */
static void
size_byte(struct h1_chunked *chunked, unsigned char c)
{
    int digit = num_hex_digit(c);

    if (digit >= 0 && chunked->left <= INT64_MAX >> 4) {
        chunked->left = chunked->left << 4 | (unsigned)digit;
        note(chunked, c);
        return;
    }
    if (chunked->line == 1 || (c != '\r' && c != ';' && c != ' ' && c != '\t')) {
        if (c != '\r' && c != ';') {
            note(chunked, c);
        }
        fail(chunked, HTTP_ERR_CHUNK_SIZE);
        return;
    }
    if (c == '\r') {
        chunked->state = STATE_SIZE_LF;
    } else {
        chunked->state = c == ';' ? STATE_EXTENSION : STATE_SIZE_BLANK;
    }
}

static void
extension_byte(struct h1_chunked *chunked, unsigned char c)
{
    if (c == '\r') {
        chunked->state = STATE_EXTENSION_LF;
    } else if ((c < 0x20 && c != '\t') || c == 0x7f) {
        fail_saying(chunked, HTTP_ERR_CHUNK_EXTENSION, SPAN("control byte not allowed"));
    }
}

static void
size_line_byte(struct h1_chunked *chunked, unsigned char c)
{
    if (++chunked->line > H1_CHUNK_LINE_MAX) {
        fail_saying(chunked, HTTP_ERR_CHUNK_EXTENSION, SPAN("line too long"));
        return;
    }
    switch (chunked->state) {
    case STATE_SIZE:
        size_byte(chunked, c);
        break;
    case STATE_SIZE_BLANK:
        if (c == ';') {
            chunked->state = STATE_EXTENSION;
        } else if (c != ' ' && c != '\t') {
            note(chunked, ' ');
            fail(chunked, HTTP_ERR_CHUNK_SIZE);
        }
        break;
    case STATE_SIZE_LF:
        if (c == '\n') {
            end_size(chunked);
        } else {
            note(chunked, '\r');
            note(chunked, c);
            fail(chunked, HTTP_ERR_CHUNK_SIZE);
        }
        break;
    case STATE_EXTENSION:
        extension_byte(chunked, c);
        break;
    default: /* STATE_EXTENSION_LF */
        if (c == '\n') {
            end_size(chunked);
        } else {
            fail_saying(chunked, HTTP_ERR_CHUNK_EXTENSION, SPAN("bare CR not allowed"));
        }
        break;
    }
}

/* The CR LF after the data of a chunk. */
static void
terminator_byte(struct h1_chunked *chunked, unsigned char c)
{
    note(chunked, c);
    if (chunked->state == STATE_DATA_CR && c == '\r') {
        chunked->state = STATE_DATA_LF;
    } else if (chunked->state == STATE_DATA_LF && c == '\n') {
        begin_line(chunked, STATE_SIZE);
    } else {
        fail(chunked, HTTP_ERR_CHUNK_TERMINATOR);
    }
}

/* Appends to the collected trailers, if there is such a collection. */
static void
collect(struct h1_chunked *chunked, struct span s)
{
    if (chunked->trailers != NULL && !chunked->drop && buf_append_span(chunked->trailers, s) < 0) {
        chunked->detail_len = 0;
        fail(chunked, HTTP_ERR_HEAD_SIZE);
    }
}

static void
collect_byte(struct h1_chunked *chunked, unsigned char c)
{
    char byte = (char)c;
    collect(chunked, span_of(&byte, 1));
}

/* Takes back the last n bytes of the current trailer. */
static void
uncollect(struct h1_chunked *chunked, size_t n)
{
    if (chunked->trailers != NULL && !chunked->drop) {
        chunked->trailers->len -= n;
    }
}

/* A field changes routing, framing or authentication: RFC 9110 section 6.5.1. */
static bool
forbidden_trailer(enum http_header id)
{
    switch (id) {
    case HTTP_HEADER_HOST:
    case HTTP_HEADER_CONTENT_LENGTH:
    case HTTP_HEADER_TRANSFER_ENCODING:
    case HTTP_HEADER_TRAILER:
    case HTTP_HEADER_AUTHORIZATION:
    case HTTP_HEADER_TE:
        return true;
    default:
        return false;
    }
}

/* The colon after a trailer's name. detail[] holds the name, or the beginning of one that is longer
 * than any well-known name. */
static void
end_name(struct h1_chunked *chunked, const struct h1_limits *limits)
{
    _Static_assert((int)H1_CHUNKED_DETAIL_MAX > (int)HTTP_HEADER_NAME_MAX, "see above");
    enum http_header id = http_header_lookup(h1_chunked_detail(chunked));
    bool drop = chunked->underscore && limits->header_map == H1_MAP_DROP;

    if (forbidden_trailer(id) || (chunked->underscore && limits->header_map == H1_MAP_REFUSE)) {
        fail(chunked, HTTP_ERR_HEADER_REFUSED);
        return;
    }
    if (id == HTTP_HEADER_CONTENT_TYPE && chunked->seen_content_type) {
        fail(chunked, HTTP_ERR_FRAMING);
        return;
    }
    chunked->seen_content_type |= id == HTTP_HEADER_CONTENT_TYPE;
    if (drop && chunked->trailers != NULL) {
        chunked->trailers->len = chunked->trailer_mark;
    }
    chunked->drop = drop;
    chunked->blanks = 0;
    chunked->trailer_count++;
    chunked->state = STATE_BEFORE_VALUE;
    collect(chunked, SPAN(": "));
}

static void
name_byte(struct h1_chunked *chunked, const struct h1_limits *limits, unsigned char c)
{
    bool in_name = chunked->state == STATE_NAME;

    if (c == ':') {
        end_name(chunked, limits);
    } else if (in_name && http_is_token_char(c)) {
        chunked->underscore |= c == '_';
        note(chunked, c);
        collect_byte(chunked, c);
    } else if ((c == ' ' || c == '\t') && limits->strip_header_spaces) {
        chunked->state = STATE_NAME_BLANK;
    } else if (c == '\r' || c == '\n') {
        fail(chunked, HTTP_ERR_HEADER);
    } else {
        note(chunked, c);
        fail(chunked, HTTP_ERR_HEADER_NAME);
    }
}

static void
value_byte(struct h1_chunked *chunked, unsigned char c)
{
    if (c == ' ' || c == '\t') {
        if (chunked->state == STATE_VALUE) {
            chunked->blanks++;
            collect_byte(chunked, c);
        }
    } else if (c == '\r') {
        uncollect(chunked, chunked->blanks);
        chunked->state = STATE_VALUE_LF;
    } else if (c < 0x20 || c == 0x7f) {
        fail(chunked, HTTP_ERR_HEADER_VALUE);
    } else {
        chunked->blanks = 0;
        chunked->state = STATE_VALUE;
        collect_byte(chunked, c);
    }
}

/* A trailer line that begins with a blank continues the one before it. */
static void
fold(struct h1_chunked *chunked, const struct h1_limits *limits)
{
    if (!limits->permit_obsolete_folding) {
        fail(chunked, HTTP_ERR_OBSOLETE_FOLDING);
        return;
    }
    uncollect(chunked, 2);
    collect(chunked, SPAN(" "));
    chunked->line += 2;
    chunked->blanks = 0;
    chunked->state = STATE_BEFORE_VALUE;
}

/* The first byte of a line of the trailer section. */
static void
begin_trailer(struct h1_chunked *chunked, const struct h1_limits *limits, unsigned char c)
{
    if (c == '\r') {
        chunked->state = STATE_LAST_LF;
        return;
    }
    if ((c == ' ' || c == '\t') && chunked->trailer_count > 0) {
        fold(chunked, limits);
        return;
    }
    begin_line(chunked, STATE_NAME);
    chunked->line = 1;
    chunked->underscore = false;
    chunked->drop = false;
    chunked->trailer_mark = chunked->trailers != NULL ? chunked->trailers->len : 0;
    if (chunked->trailer_count >= limits->fields) {
        fail(chunked, HTTP_ERR_FIELD_COUNT);
    } else if (c == ':') {
        fail_saying(chunked, HTTP_ERR_HEADER, SPAN(":"));
    } else if (!http_is_token_char(c)) {
        note(chunked, c);
        fail(chunked, HTTP_ERR_HEADER_NAME);
    } else {
        name_byte(chunked, limits, c);
    }
}

static void
trailer_byte(struct h1_chunked *chunked, const struct h1_limits *limits, unsigned char c)
{
    bool ends = c == '\r' || c == '\n';
    if (!ends && ++chunked->line + 2 > limits->field_size && chunked->state != STATE_TRAILER) {
        chunked->detail_len = 0;
        fail(chunked, HTTP_ERR_FIELD_SIZE);
        return;
    }
    switch (chunked->state) {
    case STATE_TRAILER:
        begin_trailer(chunked, limits, c);
        break;
    case STATE_NAME:
    case STATE_NAME_BLANK:
        name_byte(chunked, limits, c);
        break;
    case STATE_BEFORE_VALUE:
    case STATE_VALUE:
        value_byte(chunked, c);
        break;
    case STATE_VALUE_LF:
        chunked->state = STATE_TRAILER;
        if (c == '\n') {
            collect(chunked, SPAN("\r\n"));
        } else {
            fail(chunked, HTTP_ERR_HEADER_VALUE);
        }
        break;
    default: /* STATE_LAST_LF */
        if (c == '\n') {
            chunked->state = STATE_DONE;
        } else {
            fail_saying(chunked, HTTP_ERR_HEADER, SPAN("\r"));
        }
        break;
    }
}

static void
framing_byte(struct h1_chunked *chunked, const struct h1_limits *limits, unsigned char c)
{
    if (chunked->state < STATE_DATA) {
        size_line_byte(chunked, c);
    } else if (chunked->state < STATE_TRAILER) {
        terminator_byte(chunked, c);
    } else {
        trailer_byte(chunked, limits, c);
    }
}

enum h1_result
h1_chunked_feed(struct h1_chunked *chunked, const struct h1_limits *limits, const char *data,
                size_t len, size_t *ret_consumed, struct span *ret_data)
{
    size_t at = 0;

    *ret_data = span_of(data, 0);
    while (at < len && chunked->state != STATE_DATA && chunked->state < STATE_DONE) {
        framing_byte(chunked, limits, (unsigned char)data[at]);
        at++;
    }
    if (at < len && chunked->state == STATE_DATA) {
        size_t n = len - at < chunked->left ? len - at : (size_t)chunked->left;
        *ret_data = span_of(data + at, n);
        at += n;
        chunked->left -= n;
        if (chunked->left == 0) {
            begin_line(chunked, STATE_DATA_CR);
        }
    }
    *ret_consumed = at;
    if (chunked->state == STATE_FAILED) {
        return H1_ERROR;
    }
    return chunked->state == STATE_DONE ? H1_DONE : H1_MORE;
}
