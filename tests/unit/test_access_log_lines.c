/* SPDX-License-Identifier: MIT */
/*
 * Lines of the access log are read back: random requests whose every text is hostile, rendered in a
 * plain format and as JSON, give line by line the bytes that went in.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "http/access_log_format.h"
#include "log/quote.h"

enum {
    LINES = 10000,
    TEXT_MAX = 60,
    LINE_MAX_BYTES = 64 * 1024,
};

static uint64_t seed = 20261121;

static uint32_t
random_below(uint32_t limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32) % limit;
}

/* --- random requests --- */

static const char *const PIECES[] = {
    "\"",
    "\\",
    "\\x41",
    "\\\"",
    "\\u0041",
    "\n",
    "\r\n",
    "\t",
    "\x7f",
    "\x1b[31m",
    "\xc3\xa9",
    "\xe2\x82\xac",
    "\xf0\x9f\xa6\x8c",
    "\xed\xa0\x80",
    "\xc0\xaf",
    "\xe2\x80\xa8",
    "\xf4\x90\x80\x80",
    "\xff",
    "\xe2\x82",
    "\xc2\x85",
    " ",
    "%(h)s",
    "-",
    "{\"a\":1}",
    "\",\"status\":200,\"x\":\"",
    " HTTP/1.1\" 200 5 \"-\" \"-\"\n127.0.0.1 - - ",
    "plain text of some length, longer than one block",
};

struct text {
    char bytes[TEXT_MAX + 64];
    size_t n;
};

static struct span
random_text(struct text *text)
{
    size_t wanted = random_below(TEXT_MAX);
    text->n = 0;
    while (text->n < wanted) {
        if (random_below(3) == 0) {
            text->bytes[text->n++] = (char)random_below(256);
            continue;
        }
        const char *piece = PIECES[random_below(ARRAY_LEN(PIECES))];
        size_t n = MIN_OF(strlen(piece), wanted - text->n);
        memcpy(text->bytes + text->n, piece, n);
        text->n += n;
    }
    return span_of(text->bytes, text->n);
}

/* The texts of a request, in the order of FORMAT and of JSON. */
enum { H, M, R, U, Q, P, F, A, I, O, E, N_TEXTS };

struct random_request {
    struct text texts[N_TEXTS];
    struct access_log_record record;
    struct access_log_lookup lookup;
};

static struct span
text_span(const struct random_request *request, int which)
{
    return span_of(request->texts[which].bytes, request->texts[which].n);
}

static struct span
look_up_i(void *context, struct span name)
{
    (void)name;
    return text_span(context, I);
}

static struct span
look_up_o(void *context, struct span name)
{
    (void)name;
    return text_span(context, O);
}

static struct span
look_up_e(void *context, struct span name)
{
    (void)name;
    return text_span(context, E);
}

static void
random_request_init(struct random_request *request)
{
    for (int i = 0; i < N_TEXTS; i++) {
        random_text(&request->texts[i]);
    }
    request->lookup = (struct access_log_lookup){request, look_up_i, look_up_o, look_up_e};
    request->record = (struct access_log_record){
        .remote_addr = text_span(request, H),
        .date = SPAN("[22/Aug/2026:10:00:00 -0330]"),
        .method = text_span(request, M),
        .target = text_span(request, R),
        .path = text_span(request, U),
        .query = text_span(request, Q),
        .protocol = text_span(request, P),
        .referer = text_span(request, F),
        .user_agent = text_span(request, A),
        .status = (int)random_below(1000),
        .pid = (int)random_below(1 << 22),
        .body_bytes = (int64_t)random_below(1 << 30) - 1000,
        .duration_ns = (int64_t)random_below(1 << 30) * 1000,
        .queue_ns = (int64_t)random_below(1 << 20) * 1000,
        .lookup = &request->lookup,
    };
}

static struct span
render(const char *format, const struct access_log_record *record, struct buf *out)
{
    struct access_log_format *compiled = NULL;
    char *error = NULL;
    assert_int_equal(access_log_compile(format, &compiled, &error), 0);
    buf_init(out, LINE_MAX_BYTES);
    assert_int_equal(access_log_render(compiled, record, out), 0);
    access_log_format_free(compiled);
    struct span line = buf_span(out);
    assert_ptr_equal(memchr(line.p, '\n', line.n), line.p + line.n - 1);
    for (size_t i = 0; i + 1 < line.n; i++) {
        assert_in_range(line.p[i], 0x20, 0x7e);
    }
    return span_of(line.p, line.n - 1);
}

/* --- reading back --- */

/* The byte that \xNN at `p` stands for. */
static char
hex_byte(const char *p)
{
    char digits[3] = {p[2], p[3], '\0'};
    char *end;
    long value = strtol(digits, &end, 16);
    assert_true(p[0] == '\\' && p[1] == 'x' && end == digits + 2);
    return (char)value;
}

/* Reads `"...",` at *p as the plain format quotes it. */
static size_t
read_plain(const char **p, char *out)
{
    size_t n = 0;
    assert_int_equal(*(*p)++, '"');
    while (**p != '"') {
        if (**p != '\\') {
            out[n++] = *(*p)++;
        } else if ((*p)[1] == '"') {
            out[n++] = '"';
            *p += 2;
        } else {
            out[n++] = hex_byte(*p);
            *p += 4;
        }
    }
    *p += 2;
    return n;
}

static const char PLAIN[] = "\"%(h)s\",\"%(m)s\",\"%(U)s\",\"%(q)s\",\"%(H)s\",\"%(f)s\",\"%(a)s\","
                            "\"%({x}i)s\",\"%({x}o)s\",\"%({x}e)s\",\"%(r)s\",%(s)s,%(Q)s,";

static void
check_plain_text(const char **p, struct span expected)
{
    char text[LINE_MAX_BYTES];
    size_t n = read_plain(p, text);
    assert_int_equal(n, expected.n);
    assert_memory_equal(text, expected.p, n);
}

static void
test_plain_lines(void **state)
{
    (void)state;
    static const int order[] = {H, M, U, Q, P, F, A, I, O, E};
    struct random_request request;
    for (int i = 0; i < LINES; i++) {
        struct buf out;
        random_request_init(&request);
        const char *p = render(PLAIN, &request.record, &out).p;
        for (size_t at = 0; at < ARRAY_LEN(order); at++) {
            struct span text = text_span(&request, order[at]);
            bool dash = order[at] == H && text.n == 0;
            check_plain_text(&p, dash ? SPAN("-") : text);
        }
        char joined[3 * sizeof(struct text)];
        int n = 0;
        for (int at = 0; at < 3; at++) {
            struct span text = text_span(&request, (const int[]){M, R, P}[at]);
            memcpy(joined + n, text.p, text.n);
            n += (int)text.n;
            joined[n++] = ' ';
        }
        check_plain_text(&p, span_of(joined, (size_t)n - 1));
        char numbers[64];
        char status[16] = "-";
        if (request.record.status > 0) {
            (void)snprintf(status, sizeof(status), "%d", request.record.status);
        }
        n = snprintf(numbers, sizeof(numbers), "%s,%lld,\n", status,
                     (long long)(request.record.queue_ns / 1000));
        assert_memory_equal(p, numbers, n);
        buf_fini(&out);
    }
}

static size_t
put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i > 1; i--) {
        out[i - 1] = (char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    out[0] = (char)((0xf00 >> n) | c);
    return n;
}

static uint32_t
read_u(const char **p)
{
    char digits[5] = {(*p)[2], (*p)[3], (*p)[4], (*p)[5], '\0'};
    char *end;
    assert_true((*p)[0] == '\\' && (*p)[1] == 'u');
    uint32_t unit = (uint32_t)strtoul(digits, &end, 16);
    assert_ptr_equal(end, digits + 4);
    *p += 6;
    return unit;
}

/* Reads a string of JSON at *p, and undoes the \xNN that its text has then. */
static size_t
read_json(const char **p, char *out)
{
    size_t n = 0;
    assert_int_equal(*(*p)++, '"');
    while (**p != '"') {
        if (**p != '\\') {
            out[n++] = *(*p)++;
        } else if ((*p)[1] == '"') {
            out[n++] = '"';
            *p += 2;
        } else if ((*p)[1] == '\\') {
            out[n++] = hex_byte(*p + 1);
            *p += 5;
        } else {
            uint32_t unit = read_u(p);
            if (unit >= 0xd800 && unit <= 0xdbff) {
                uint32_t low = read_u(p);
                assert_in_range(low, 0xdc00, 0xdfff);
                unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            }
            assert_false(unit >= 0xd800 && unit <= 0xdfff);
            n += put_utf8(out + n, unit);
        }
    }
    ++*p;
    return n;
}

static void
expect(const char **p, const char *text)
{
    if (strncmp(*p, text, strlen(text)) != 0) {
        fail_msg("expected %s at %.40s", text, *p);
    }
    *p += strlen(text);
}

static void
expect_number(const char **p, const char *name, int64_t number)
{
    char text[64];
    if (number < 0) {
        (void)snprintf(text, sizeof(text), ",\"%s\":null", name);
    } else {
        (void)snprintf(text, sizeof(text), ",\"%s\":%lld", name, (long long)number);
    }
    expect(p, text);
}

static void
expect_text(const char **p, const char *name, struct span expected)
{
    char text[LINE_MAX_BYTES];
    expect(p, ",\"");
    expect(p, name);
    expect(p, "\":");
    if (!expected.p) {
        expect(p, "null");
        return;
    }
    size_t n = read_json(p, text);
    assert_int_equal(n, expected.n);
    assert_memory_equal(text, expected.p, n);
}

static void
test_json_lines(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int which;
    } order[] = {{"method", M},   {"target", R},  {"path", U},      {"query", Q},
                 {"protocol", P}, {"referer", F}, {"user_agent", A}};
    struct random_request request;
    for (int i = 0; i < LINES; i++) {
        struct buf out;
        random_request_init(&request);
        const struct access_log_record *record = &request.record;
        const char *p = render("json", record, &out).p;
        struct span nothing = {NULL, 0};
        expect(&p, "{\"time\":\"2026-08-22T10:00:00-03:30\"");
        expect_text(&p, "remote_addr", record->remote_addr.n > 0 ? record->remote_addr : nothing);
        expect_text(&p, "user", nothing);
        for (size_t at = 0; at < ARRAY_LEN(order); at++) {
            expect_text(&p, order[at].name, text_span(&request, order[at].which));
        }
        expect_number(&p, "status", record->status > 0 ? record->status : -1);
        expect_number(&p, "body_bytes", record->body_bytes);
        expect_number(&p, "duration_us", record->duration_ns / 1000);
        expect_number(&p, "queue_us", record->queue_ns / 1000);
        expect_number(&p, "pid", record->pid);
        expect(&p, "}\n");
        buf_fini(&out);
    }
}

/* --- JSON in particular --- */

static void
test_json_line(void **state)
{
    (void)state;
    struct buf out;
    struct access_log_record record = {
        .remote_addr = SPAN("192.0.2.7"),
        .authorization = SPAN("Basic YWxpY2U6c2VzYW1l"), /* alice:sesame */
        .date = SPAN("[02/Dec/2026:10:00:00 +0000]"),
        .method = SPAN("GET"),
        .target = SPAN("/caf%C3%A9?x=1"),
        .path = SPAN("/caf\xc3\xa9"),
        .query = SPAN("x=1"),
        .protocol = SPAN("HTTP/1.1"),
        .user_agent = SPAN("a \"b\" \\ \xff"),
        .status = 404,
        .pid = 4242,
        .body_bytes = 12345,
        .duration_ns = INT64_C(3004005999),
        .queue_ns = 7999,
    };
    render("json", &record, &out);
    buf_end(&out)[-1] = '\0';
    assert_string_equal(
        buf_begin(&out),
        "{\"time\":\"2026-12-02T10:00:00+00:00\",\"remote_addr\":\"192.0.2.7\",\"user\":\"alice\","
        "\"method\":\"GET\",\"target\":\"/caf%C3%A9?x=1\",\"path\":\"/"
        "caf\\u00e9\",\"query\":\"x=1\","
        "\"protocol\":\"HTTP/1.1\",\"referer\":null,\"user_agent\":\"a \\\"b\\\" \\\\x5c \\\\xff\","
        "\"status\":404,\"body_bytes\":12345,\"duration_us\":3004005,\"queue_us\":7,\"pid\":4242}");
    buf_fini(&out);
}

static void
test_json_line_of_nothing(void **state)
{
    (void)state;
    struct buf out;
    struct access_log_record record = {.body_bytes = -1, .date = SPAN("[never]")};
    render("json", &record, &out);
    buf_end(&out)[-1] = '\0';
    assert_string_equal(
        buf_begin(&out),
        "{\"time\":null,\"remote_addr\":null,\"user\":null,\"method\":null,\"target\":null,"
        "\"path\":null,\"query\":null,\"protocol\":null,\"referer\":null,\"user_agent\":null,"
        "\"status\":null,\"body_bytes\":null,\"duration_us\":0,\"queue_us\":0,\"pid\":0}");
    buf_fini(&out);
}

static void
test_json_long_text_is_cut(void **state)
{
    (void)state;
    static char text[ACCESS_LOG_TEXT_MAX + 1];
    struct access_log_record record = {.referer = {text, sizeof(text)}, .date = SPAN("")};
    struct access_log_format *format;
    char *error;
    struct buf out;
    memset(text, 1, sizeof(text));
    assert_int_equal(access_log_compile("json", &format, &error), 0);
    buf_init(&out, 1024 * 1024);
    assert_int_equal(access_log_render(format, &record, &out), 0);
    buf_end(&out)[-1] = '\0';
    assert_non_null(strstr(buf_begin(&out), "\\u0001...\",\"user_agent\""));
    buf_fini(&out);
    buf_init(&out, 1024);
    assert_int_equal(access_log_render(format, &record, &out), -ENOBUFS);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
    access_log_format_free(format);
}

/* Each byte at each place of texts around the sizes of a block. */
static void
test_json_every_byte_everywhere(void **state)
{
    (void)state;
    for (size_t n = 1; n < 40; n++) {
        for (size_t at = 0; at < n; at++) {
            for (unsigned c = 0; c < 256; c++) {
                char text[40];
                char out[LOG_ESCAPE_JSON_BYTES * sizeof(text) + 2] = "\"";
                char back[2 * sizeof(text)];
                const char *p = out;
                memset(text, 'x', n);
                text[at] = (char)c;
                *log_escape_json(out + 1, span_of(text, n)) = '"';
                assert_int_equal(read_json(&p, back), n);
                assert_memory_equal(back, text, n);
            }
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_lines),
        cmocka_unit_test(test_json_lines),
        cmocka_unit_test(test_json_line),
        cmocka_unit_test(test_json_line_of_nothing),
        cmocka_unit_test(test_json_long_text_is_cut),
        cmocka_unit_test(test_json_every_byte_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
