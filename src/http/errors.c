/* SPDX-License-Identifier: MIT */

#include "http/errors.h"

#include "base/macros.h"
#include "base/panic.h"

#include <stdint.h>
#include <string.h>

/* The flags of errors.def. */
enum { CLOSE = 1, LOGGED = 2 };

static const struct http_error_info error_table[HTTP_ERROR_COUNT] = {
    [HTTP_OK] = {"OK", 200, "OK", "", "", false, false},
#define HTTP_ERROR(name, status, reason, flags, text, message) \
    [HTTP_ERR_##name] = {#name,                                \
                         (status),                             \
                         (reason),                             \
                         (text),                               \
                         (message),                            \
                         ((flags)&CLOSE) != 0,                 \
                         ((flags)&LOGGED) != 0},
#include "http/errors.def"
};

const struct http_error_info *
http_error_info(enum http_error error)
{
    ASSERT((unsigned)error < HTTP_ERROR_COUNT);
    return &error_table[error];
}

/* Error texts are a courtesy: one that does not fit is cut. */
static void
put(struct buf *out, struct span s)
{
    if (s.n > 0) {
        (void)!buf_append_span(out, s);
    }
}

/* One byte as Python's repr() shows it between `quote`s; 0: no quote is special. */
static void
put_byte(struct buf *out, unsigned char c, char quote)
{
    static const char hex[] = "0123456789abcdef";
    char escape[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};

    switch (c) {
    case '\t':
        put(out, SPAN("\\t"));
        return;
    case '\n':
        put(out, SPAN("\\n"));
        return;
    case '\r':
        put(out, SPAN("\\r"));
        return;
    default:
        break;
    }
    if (c < 0x20 || c >= 0x7f) {
        put(out, span_of(escape, 4));
        return;
    }
    if (quote != 0 && (c == '\\' || c == (unsigned char)quote)) {
        put(out, SPAN("\\"));
    }
    char plain = (char)c;
    put(out, span_of(&plain, 1));
}

static void
put_quoted(struct buf *out, struct span s, bool upper)
{
    bool has_single = s.n > 0 && memchr(s.p, '\'', s.n) != NULL;
    bool has_double = s.n > 0 && memchr(s.p, '"', s.n) != NULL;
    char quote = has_single && !has_double ? '"' : '\'';

    put(out, span_of(&quote, 1));
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        put_byte(out, upper && c >= 'a' && c <= 'z' ? c & 0xdf : c, quote);
    }
    put(out, span_of(&quote, 1));
}

void
http_quote(struct span s, struct buf *out)
{
    put_quoted(out, s, false);
}

static void
put_escaped(struct buf *out, struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        put_byte(out, (unsigned char)s.p[i], 0);
    }
}

/* The detail in the form that the letter after a percent sign asks for. */
static void
put_detail(struct buf *out, char form, struct span detail)
{
    switch (form) {
    case 'r':
        put_quoted(out, detail, false);
        break;
    case 'R':
        put_quoted(out, detail, true);
        break;
    case 'b':
        put(out, SPAN("b"));
        put_quoted(out, detail, false);
        break;
    case 's':
        put_escaped(out, detail);
        break;
    default:
        PANIC("errors.def: unknown form %%%c", form);
    }
}

void
http_error_text(enum http_error error, struct span detail, struct buf *out)
{
    const char *format = http_error_info(error)->text;
    const char *percent = strchr(format, '%');
    bool cut = detail.n > HTTP_ERROR_DETAIL_MAX;

    if (percent == NULL) {
        put(out, span_str(format));
        return;
    }
    detail.n = MIN_OF(detail.n, (size_t)HTTP_ERROR_DETAIL_MAX);
    put(out, span_of(format, (size_t)(percent - format)));
    put_detail(out, percent[1], detail);
    if (cut) {
        put(out, SPAN("..."));
    }
    put(out, span_str(percent + 2));
}

void
http_error_render(enum http_error error, struct span detail, struct buf *out)
{
    const char *format = http_error_info(error)->message;
    const char *percent = strchr(format, '%');

    if (percent == NULL) {
        put(out, span_str(format));
        return;
    }
    put(out, span_of(format, (size_t)(percent - format)));
    http_error_text(error, detail, out);
    put(out, span_str(percent + 2));
}

/* Appends `s` with & < > " ' as character references. */
static void
escape_html(struct span s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        switch (s.p[i]) {
        case '&':
            put(out, SPAN("&amp;"));
            break;
        case '<':
            put(out, SPAN("&lt;"));
            break;
        case '>':
            put(out, SPAN("&gt;"));
            break;
        case '"':
            put(out, SPAN("&quot;"));
            break;
        case '\'':
            put(out, SPAN("&#x27;"));
            break;
        default:
            put(out, span_of(s.p + i, 1));
            break;
        }
    }
}

void
http_error_page(int status, const char *reason, struct span message, struct buf *out)
{
    struct buf page;

    buf_init(&page, SIZE_MAX / 2);
    (void)!buf_printf(&page,
                      "<html>\n  <head>\n    <title>%s</title>\n  </head>\n  <body>\n"
                      "    <h1><p>%s</p></h1>\n    ",
                      reason, reason);
    escape_html(message, &page);
    put(&page, SPAN("\n  </body>\n</html>\n"));
    (void)!buf_printf(out,
                      "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: text/html\r\n"
                      "Content-Length: %zu\r\n\r\n",
                      status, reason, page.len);
    put(out, buf_span(&page));
    buf_fini(&page);
}

size_t
http_error_head_bytes(const struct buf *response)
{
    const char *end = memmem(buf_begin(response), response->len, "\r\n\r\n", 4);
    ASSERT(end != NULL);
    return (size_t)(end - buf_begin(response)) + 4;
}

void
http_error_response(enum http_error error, struct span detail, struct buf *out)
{
    const struct http_error_info *info = http_error_info(error);
    struct buf message;

    buf_init(&message, SIZE_MAX / 2);
    http_error_render(error, detail, &message);
    http_error_page(info->status, info->reason, buf_span(&message), out);
    buf_fini(&message);
}
