/* SPDX-License-Identifier: MIT */
/*
 * The request parser against tests/vectors/h1: each case whole, byte by byte and cut in two at
 * every place, from buffers of exactly the right size so that a sanitizer sees a read beyond them.
 */
#include "base/mem.h"
#include "http/h1_chunked.h"
#include "http/h1_parse.h"
#include "http/h1_policy.h"

#include "vectors.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
// cmocka.h needs those above
#include <cmocka.h>

enum { ITEMS = 4, LONG_INPUT = 1500, FORWARDERS = 8 };

struct setup {
    struct h1_limits limits;
    struct h1_policy policy;
    struct h1_scheme_header scheme_headers[3];
    struct span forwarders[FORWARDERS];
    char words[512];
    bool trusted;
};

/* One connection that receives the bytes of a case. */
struct receiver {
    const struct setup *setup;
    char *data; /* exactly len bytes */
    size_t len;
    size_t body_at; /* body bytes before this one have been consumed */
    int64_t body_left;
    struct h1_parser parser;
    struct h1_head head;
    struct h1_header items[ITEMS];
    struct h1_chunked chunked;
    struct buf body;
    struct buf trailers;
    enum h1_result result;
    enum http_error error;
    struct buf detail;
    bool head_done;
    bool body_done;
};

static bool
flag(const char *set, const char *name)
{
    const char *at = strstr(set, name);
    return at != NULL && at[-1] == ' ' &&
           (at[strlen(name)] == ' ' || at[strlen(name)] == '\0' || at[strlen(name)] == '=');
}

static unsigned
number(const char *set, const char *name, unsigned otherwise)
{
    return flag(set, name) ? (unsigned)strtoul(strstr(set, name) + strlen(name) + 1, NULL, 10)
                           : otherwise;
}

static void
split_forwarders(struct setup *s)
{
    static const char key[] = "forwarder_headers=";
    const char *list = strstr(s->words, key);

    list = list != NULL ? list + sizeof(key) - 1 : "SCRIPT_NAME,PATH_INFO";
    struct span rest = span_of(list, strcspn(list, " "));
    while (http_list_next(&rest, &s->forwarders[s->policy.forwarder_count])) {
        s->policy.forwarder_count++;
        assert_true(s->policy.forwarder_count < FORWARDERS);
    }
    s->policy.forwarder_headers = s->forwarders;
}

static void
setup_init(struct setup *s, const char *set)
{
    *s = (struct setup){
        .scheme_headers = {{SPAN("X-FORWARDED-PROTOCOL"), SPAN("ssl"), 0},
                           {SPAN("X-FORWARDED-PROTO"), SPAN("https"), 0},
                           {SPAN("X-FORWARDED-SSL"), SPAN("on"), 0}},
        .trusted = !flag(set, "untrusted"),
    };
    (void)snprintf(s->words, sizeof(s->words), "%s", set);
    h1_limits_set(&s->limits, number(set, "limit_request_line", 4094),
                  number(set, "limit_request_fields", 100),
                  number(set, "limit_request_field_size", 8190));
    s->limits.permit_obsolete_folding = flag(set, "permit_obsolete_folding");
    s->limits.strip_header_spaces = flag(set, "strip_header_spaces");
    s->limits.permit_unconventional_http_method = flag(set, "permit_unconventional_http_method");
    s->limits.permit_unconventional_http_version = flag(set, "permit_unconventional_http_version");
    s->limits.casefold_http_method = flag(set, "casefold_http_method");
    s->limits.permit_missing_host = flag(set, "permit_missing_host");
    if (flag(set, "header_map")) {
        s->policy.header_map = flag(set, "header_map=refuse")      ? H1_MAP_REFUSE
                               : flag(set, "header_map=dangerous") ? H1_MAP_DANGEROUS
                                                                   : H1_MAP_DROP;
    }
    s->limits.header_map = s->policy.header_map;
    s->policy.scheme_headers = s->scheme_headers;
    s->policy.scheme_count = ARRAY_LEN(s->scheme_headers);
    split_forwarders(s);
    h1_policy_prepare(&s->policy);
}

static void
receiver_init(struct receiver *r, const struct setup *setup)
{
    *r = (struct receiver){.setup = setup, .result = H1_MORE};
    h1_parser_init(&r->parser);
    h1_head_init(&r->head, r->items, ITEMS);
    buf_init(&r->body, SIZE_MAX / 2);
    buf_init(&r->trailers, SIZE_MAX / 2);
    buf_init(&r->detail, SIZE_MAX / 2);
    h1_chunked_init(&r->chunked, &r->trailers);
}

static void
receiver_fini(struct receiver *r)
{
    free(r->data);
    h1_head_fini(&r->head);
    buf_fini(&r->body);
    buf_fini(&r->trailers);
    buf_fini(&r->detail);
}

static void
receiver_fail(struct receiver *r, enum http_error error, struct span detail)
{
    r->result = H1_ERROR;
    r->error = error;
    vector_add(&r->detail, detail.p, detail.n);
}

static void
receiver_head(struct receiver *r)
{
    const struct setup *s = r->setup;
    struct span detail;

    r->result = h1_parse_head(&r->parser, &s->limits, r->data, r->len, &r->head);
    if (r->result == H1_ERROR) {
        h1_parser_detail(&r->parser, &s->limits, r->data, &r->detail);
        r->error = r->parser.error;
    }
    if (r->result != H1_DONE) {
        assert_true(r->parser.scan <= r->len);
        return;
    }
    assert_true(r->head.head_len <= r->len);
    r->body_at = r->head.head_len;
    r->body_left = r->head.content_length > 0 ? r->head.content_length : 0;
    r->head_done = true;
    enum http_error error =
        h1_head_apply_policy(&r->head, r->data, &s->policy, s->trusted, &detail);
    if (error != HTTP_OK) {
        receiver_fail(r, error, detail);
    }
}

static void
receiver_chunked_body(struct receiver *r)
{
    struct span data;
    size_t consumed;

    r->result = H1_MORE;
    while (r->body_at < r->len && r->result == H1_MORE) {
        const char *p = r->data + r->body_at;
        size_t n = r->len - r->body_at;
        r->result = h1_chunked_feed(&r->chunked, &r->setup->limits, p, n, &consumed, &data);
        assert_true(consumed > 0 && consumed <= n);
        assert_true(data.p >= p && data.p + data.n <= p + consumed);
        vector_add(&r->body, data.p, data.n);
        r->body_at += consumed;
    }
    if (r->result == H1_ERROR) {
        receiver_fail(r, r->chunked.error, h1_chunked_detail(&r->chunked));
    }
}

static void
receiver_plain_body(struct receiver *r)
{
    size_t n = MIN_OF(r->len - r->body_at, (size_t)r->body_left);

    vector_add(&r->body, r->data + r->body_at, n);
    r->body_at += n;
    r->body_left -= (int64_t)n;
    r->result = r->body_left > 0 ? H1_MORE : H1_DONE;
}

static void
receive(struct receiver *r, const char *bytes, size_t n)
{
    char *grown = mem_alloc(r->len + n);

    if (r->len > 0) {
        memcpy(grown, r->data, r->len);
    }
    memcpy(grown + r->len, bytes, n);
    free(r->data);
    r->data = grown;
    r->len += n;
    if (r->result == H1_MORE && !r->head_done) {
        receiver_head(r);
    }
    if (r->result == H1_ERROR || !r->head_done || r->body_done) {
        return;
    }
    if (r->head.chunked) {
        receiver_chunked_body(r);
    } else {
        receiver_plain_body(r);
    }
    r->body_done = r->result != H1_MORE;
}

static void
show(struct buf *out, const char *key, struct span value)
{
    vector_add(out, key, strlen(key));
    vector_add(out, ": ", 2);
    vector_escape(out, value);
    vector_add(out, "\n", 1);
}

static void
show_error(struct buf *out, const struct receiver *r)
{
    const struct http_error_info *info = http_error_info(r->error);
    struct buf text;

    buf_init(&text, SIZE_MAX / 2);
    http_error_text(r->error, buf_span(&r->detail), &text);
    (void)!buf_printf(out, "want: error %d %s\n", info->status, info->name);
    show(out, "text", buf_span(&text));
    buf_fini(&text);
}

static void
show_fields(struct buf *out, const struct receiver *r)
{
    const struct h1_head *head = &r->head;

    for (uint32_t i = 0; i < head->count; i++) {
        vector_add(out, "header: ", 8);
        vector_escape(out, h1_header_name(r->data, &head->items[i]));
        vector_add(out, ": ", 2);
        vector_escape(out, h1_header_value(r->data, &head->items[i]));
        vector_add(out, "\n", 1);
    }
    if (head->script_name != H1_NO_HEADER) {
        show(out, "script-name", h1_header_value(r->data, &head->items[head->script_name]));
    }
}

static void
show_trailers(struct buf *out, const struct receiver *r)
{
    struct span rest = buf_span(&r->trailers);

    while (rest.n > 0) {
        const char *end = memmem(rest.p, rest.n, "\r\n", 2);
        assert_non_null(end);
        show(out, "trailer", span_of(rest.p, (size_t)(end - rest.p)));
        rest = span_of(end + 2, rest.n - (size_t)(end + 2 - rest.p));
    }
}

static void
show_outcome(struct buf *out, const struct receiver *r)
{
    static const char *const schemes[] = {"transport", "http", "https"};
    const struct h1_head *head = &r->head;

    if (r->result != H1_DONE) {
        if (r->result == H1_ERROR) {
            show_error(out, r);
        } else {
            (void)!buf_printf(out, "want: more\n");
        }
        return;
    }
    (void)!buf_printf(out, "want: ok\n");
    show(out, "method", h1_part_span(r->data, head->method));
    show(out, "target", h1_part_span(r->data, head->target));
    show(out, "path", h1_part_span(r->data, head->path));
    show(out, "query", h1_part_span(r->data, head->query));
    (void)!buf_printf(out, "version: %d.%d\n", head->version_major, head->version_minor);
    if (head->chunked) {
        (void)!buf_printf(out, "framing: chunked\n");
    } else if (head->content_length >= 0) {
        (void)!buf_printf(out, "framing: length %lld\n", (long long)head->content_length);
    } else {
        (void)!buf_printf(out, "framing: none\n");
    }
    (void)!buf_printf(out, "keep-alive: %s\nexpect: %s\nupgrade: %s\nscheme: %s\n",
                      head->keep_alive ? "yes" : "no", head->expect_continue ? "yes" : "no",
                      head->upgrade ? "yes" : "no", schemes[head->scheme]);
    show_fields(out, r);
    show(out, "body", buf_span(&r->body));
    show_trailers(out, r);
    (void)!buf_printf(out, "rest: %zu\n", r->len - r->body_at);
}

/* `cuts` are the ends of all pieces but the last; what comes of it goes to `out`. */
static void
run_cut(const struct vector *v, const struct setup *setup, size_t first, size_t step,
        struct buf *out)
{
    struct receiver r;
    struct span rest = buf_span(&v->input);
    size_t piece = first;

    receiver_init(&r, setup);
    while (rest.n > 0) {
        size_t n = MIN_OF(piece, rest.n);
        receive(&r, rest.p, n);
        rest = span_of(rest.p + n, rest.n - n);
        piece = step;
    }
    /* How long a line is that was refused for its length depends on what has arrived. */
    if (r.error == HTTP_ERR_REQUEST_LINE_SIZE && step != SIZE_MAX) {
        (void)!buf_printf(out, "want: error 400 REQUEST_LINE_SIZE\n");
    } else {
        show_outcome(out, &r);
    }
    receiver_fini(&r);
}

static bool
has_line(const struct buf *out, const char *line, size_t n)
{
    const char *p = buf_begin(out);
    const char *end = buf_end(out);

    while (p < end) {
        size_t length = (size_t)((const char *)memchr(p, '\n', (size_t)(end - p)) - p) + 1;
        if (length == n && memcmp(p, line, n) == 0) {
            return true;
        }
        p += length;
    }
    return false;
}

static size_t
count_lines(const struct buf *b, const char *key)
{
    size_t count = 0;
    const char *p = buf_begin(b);
    const char *end = buf_end(b);

    while (p < end) {
        count += (size_t)(end - p) > strlen(key) && memcmp(p, key, strlen(key)) == 0;
        p = (const char *)memchr(p, '\n', (size_t)(end - p)) + 1;
    }
    return count;
}

static void
fail_vector(const struct vector *v, const char *what, const struct buf *out)
{
    fail_msg("%s:%d: %s: %s\nexpected:\n%.*sgot:\n%.*s", v->file, v->line, v->name, what,
             (int)v->expect.len, buf_begin(&v->expect), (int)out->len, buf_begin(out));
}

static void
compare_expected(const struct vector *v, const struct buf *out)
{
    static const char *const lists[] = {"header: ", "trailer: "};
    const char *p = buf_begin(&v->expect);
    const char *end = buf_end(&v->expect);

    assert_int_equal(count_lines(&v->expect, "want: "), 1);
    while (p < end) {
        size_t n = (size_t)((const char *)memchr(p, '\n', (size_t)(end - p)) - p) + 1;
        if (!has_line(out, p, n)) {
            fail_vector(v, "a line is missing", out);
        }
        p += n;
    }
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        size_t expected = count_lines(&v->expect, lists[i]);
        if (expected > 0 && expected != count_lines(out, lists[i])) {
            fail_vector(v, "other fields", out);
        }
    }
}

static void
run_vector(const struct vector *v)
{
    struct setup setup;
    struct buf whole;
    struct buf cut;

    setup_init(&setup, v->set);
    buf_init(&whole, SIZE_MAX / 2);
    buf_init(&cut, SIZE_MAX / 2);
    run_cut(v, &setup, SIZE_MAX, SIZE_MAX, &whole);
    compare_expected(v, &whole);

    bool size_varies = has_line(&whole, "want: error 400 REQUEST_LINE_SIZE\n", 34);
    size_t step = v->input.len > LONG_INPUT ? v->input.len / 61 : 1;
    run_cut(v, &setup, 1, v->input.len > LONG_INPUT ? 7 : 1, &cut);
    for (size_t first = 0; first <= v->input.len; first += step) {
        if (first > 0) {
            run_cut(v, &setup, first, SIZE_MAX - 1, &cut);
        }
        if (!size_varies && !span_eq(buf_span(&whole), buf_span(&cut))) {
            fail_vector(v, first > 0 ? "differs when cut in two" : "differs byte by byte", &cut);
        }
        buf_clear(&cut);
    }
    buf_fini(&whole);
    buf_fini(&cut);
}

static void
test_vectors(void **state)
{
    DIR *folder = opendir(VECTORS_DIR "/h1");
    const struct dirent *entry;
    char path[512];
    int count = 0;

    (void)state;
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        if (strstr(entry->d_name, ".txt") != NULL) {
            (void)snprintf(path, sizeof(path), "%s/h1/%s", VECTORS_DIR, entry->d_name);
            count += vectors_run(path, run_vector);
        }
    }
    (void)closedir(folder);
    print_message("%d vectors\n", count);
    assert_true(count > 100);
}

static void
test_known_headers(void **state)
{
    char name[HTTP_HEADER_NAME_MAX + 1];
    size_t length = 0;

    (void)state;
    for (unsigned id = 1; id < HTTP_HEADER_COUNT; id++) {
        const struct http_header_info *info = http_header_info(id);
        assert_true(info->name.n >= length); /* header.def is sorted by length */
        length = info->name.n;
        assert_int_equal(http_header_lookup(info->name), id);
        for (size_t i = 0; i < length; i++) {
            name[i] = (char)ascii_lower((unsigned char)info->name.p[i]);
        }
        assert_int_equal(http_header_lookup(span_of(name, length)), id);
        name[length - 1] = '~';
        assert_int_equal(http_header_lookup(span_of(name, length)), HTTP_HEADER_UNKNOWN);
        name[length - 1] = info->name.p[length - 1];
        for (size_t i = 0; i < length; i++) {
            if (name[i] == '-') {
                name[i] = '_';
                assert_int_equal(http_header_lookup(span_of(name, length)), HTTP_HEADER_UNKNOWN);
                name[i] = '-';
            }
        }
    }
    assert_int_equal(length, HTTP_HEADER_NAME_MAX);
    assert_int_equal(http_header_lookup(SPAN("")), HTTP_HEADER_UNKNOWN);
}

static void
test_limits_are_clamped(void **state)
{
    struct h1_limits limits;

    (void)state;
    h1_limits_set(&limits, 4094, 100, 8190);
    assert_int_equal(limits.request_line, 4094);
    assert_int_equal(limits.fields, 100);
    assert_int_equal(limits.field_size, 8190);
    assert_int_equal(limits.head_bytes, 100 * 8192 + 4);
    h1_limits_set(&limits, 9000, 40000, 0);
    assert_int_equal(limits.request_line, 8190);
    assert_int_equal(limits.fields, 32768);
    assert_int_equal(limits.field_size, 8190);
    h1_limits_set(&limits, 0, 0, 100000);
    assert_true(limits.request_line > 1000000);
    assert_int_equal(limits.fields, 32768);
    assert_int_equal(limits.field_size, 100000);
}

/* A limit of the head that is smaller than what the fields may take together. */
static void
test_head_bytes(void **state)
{
    char data[] = "GET / HTTP/1.0\r\nA: b\r\nC: d\r\n\r\n";
    struct h1_parser parser;
    struct h1_limits limits;
    struct h1_header items[4];
    struct h1_head head;
    size_t section = sizeof(data) - 1 - 16;

    (void)state;
    h1_limits_set(&limits, 0, 0, 0);
    h1_head_init(&head, items, 4);
    for (uint32_t max = 0; max <= section; max++) {
        limits.head_bytes = max;
        h1_parser_init(&parser);
        enum h1_result result = h1_parse_head(&parser, &limits, data, sizeof(data) - 1, &head);
        assert_int_equal(result, max < section ? H1_ERROR : H1_DONE);
        assert_int_equal(parser.error, max < section ? HTTP_ERR_HEAD_SIZE : HTTP_OK);
    }
    h1_head_fini(&head);
}

static void
test_empty_line_before_a_request(void **state)
{
    char data[] = "\r\nGET / HTTP/1.0\r\n\r\n";
    struct h1_parser parser;
    struct h1_limits limits;
    struct h1_head head;

    (void)state;
    h1_limits_set(&limits, 0, 0, 0);
    h1_head_init(&head, NULL, 0);
    h1_parser_init(&parser);
    for (size_t len = 0; len < sizeof(data) - 1; len++) {
        assert_int_equal(h1_parse_head(&parser, &limits, data, len, &head), H1_MORE);
    }
    assert_int_equal(h1_parse_head(&parser, &limits, data, sizeof(data) - 1, &head), H1_DONE);
    assert_int_equal(head.head_len, sizeof(data) - 1);
    h1_head_fini(&head);
}

/* More fields than the lent array has room for, twice with the same head. */
static void
test_many_fields(void **state)
{
    struct buf data;
    struct h1_parser parser;
    struct h1_limits limits;
    struct h1_header items[2];
    struct h1_head head;

    (void)state;
    buf_init(&data, SIZE_MAX / 2);
    vector_unescape(&data, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 500; i++) {
        assert_int_equal(buf_printf(&data, "X-%d: %d\r\n", i, i), 0);
    }
    vector_unescape(&data, "\r\n");
    h1_limits_set(&limits, 0, 501, 0);
    h1_head_init(&head, items, 2);
    for (int round = 0; round < 2; round++) {
        h1_parser_init(&parser);
        assert_int_equal(h1_parse_head(&parser, &limits, buf_begin(&data), data.len, &head),
                         H1_DONE);
        assert_int_equal(head.count, 501);
        assert_true(span_eq(h1_header_value(buf_begin(&data), &head.items[500]), SPAN("499")));
        assert_ptr_equal(h1_head_find(&head, HTTP_HEADER_HOST), &head.items[0]);
        assert_null(h1_head_find(&head, HTTP_HEADER_COOKIE));
    }
    h1_head_fini(&head);
    buf_fini(&data);
}

/* Fields that are dropped in front of the others must not shift what the indexes mean, and a scheme
 * header that is not in header.def works like one that is. */
static void
test_policy_indexes_and_own_scheme(void **state)
{
    char data[] = "POST / HTTP/1.1\r\na_b: 1\r\nHost: h\r\nc_d: 1\r\nX-Tls: Yes\r\n"
                  "e_f: 1\r\nContent-Length: 3\r\nContent-Type: t\r\n\r\n";
    struct h1_scheme_header scheme = {SPAN("x-tls"), SPAN("Yes"), 0};
    struct h1_policy policy = {.scheme_headers = &scheme, .scheme_count = 1};
    struct h1_limits limits;
    struct h1_parser parser;
    struct h1_head head;
    struct span detail;

    (void)state;
    h1_limits_set(&limits, 0, 0, 0);
    h1_policy_prepare(&policy);
    h1_parser_init(&parser);
    h1_head_init(&head, NULL, 0);
    assert_int_equal(h1_parse_head(&parser, &limits, data, sizeof(data) - 1, &head), H1_DONE);
    assert_int_equal(h1_head_apply_policy(&head, data, &policy, true, &detail), HTTP_OK);
    assert_int_equal(head.count, 4);
    assert_true(span_eq(h1_header_value(data, &head.items[head.host]), SPAN("h")));
    assert_true(span_eq(h1_header_value(data, &head.items[head.content_type]), SPAN("t")));
    assert_true(span_eq(h1_header_value(data, &head.items[head.content_length_field]), SPAN("3")));
    assert_int_equal(head.script_name, H1_NO_HEADER);
    assert_int_equal(head.scheme, H1_SCHEME_HTTPS);
    h1_head_fini(&head);
}

static void
assert_buf(struct buf *b, const char *expected)
{
    assert_int_equal(b->len, strlen(expected));
    assert_memory_equal(buf_begin(b), expected, b->len);
    buf_fini(b);
}

static void
test_error_texts(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, SIZE_MAX / 2);
    http_error_text(HTTP_ERR_REQUEST_LINE, SPAN("GET\t/\x1b[31m\n\xe9\\"), &b);
    assert_buf(&b, "Invalid HTTP request line: 'GET\\t/\\x1b[31m\\n\\xe9\\\\'");
    http_error_render(HTTP_ERR_METHOD, SPAN("it's"), &b);
    assert_buf(&b, "Invalid Method 'Invalid HTTP method: \"it's\"'");
    http_error_text(HTTP_ERR_HEADER_NAME, SPAN("'\""), &b);
    assert_buf(&b, "Invalid HTTP header name: '\\'\"'");
    http_error_text(HTTP_ERR_FRAMING, SPAN("content-length"), &b);
    assert_buf(&b, "Invalid HTTP Header: 'CONTENT-LENGTH'");
    http_error_text(HTTP_ERR_CHUNK_SIZE, SPAN("5 "), &b);
    assert_buf(&b, "Invalid chunk size: b'5 '");
    http_error_render(HTTP_ERR_FIELD_COUNT, SPAN(""), &b);
    assert_buf(&b, "Error parsing headers: 'limit request headers fields'");
    http_error_render(HTTP_ERR_INTERNAL, SPAN("secret"), &b);
    assert_int_equal(b.len, 0);
}

static void
test_error_detail_is_cut(void **state)
{
    char line[HTTP_ERROR_DETAIL_MAX + 1];
    struct buf b;

    (void)state;
    memset(line, 'A', sizeof(line));
    buf_init(&b, SIZE_MAX / 2);
    http_error_text(HTTP_ERR_REQUEST_LINE, span_of(line, sizeof(line)), &b);
    assert_int_equal(b.len, strlen("Invalid HTTP request line: ''...") + HTTP_ERROR_DETAIL_MAX);
    buf_fini(&b);
}

/* Byte for byte what Gunicorn 26.1 sends, but for the reason phrase of 501. */
static void
test_error_response(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, SIZE_MAX / 2);
    http_error_response(HTTP_ERR_HEADER, SPAN("<b>&\""), &b);
    assert_buf(&b, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/html\r\n"
                   "Content-Length: 174\r\n\r\n"
                   "<html>\n  <head>\n    <title>Bad Request</title>\n  </head>\n  <body>\n"
                   "    <h1><p>Bad Request</p></h1>\n"
                   "    Invalid HTTP Header: &#x27;&lt;b&gt;&amp;&quot;&#x27;\n"
                   "  </body>\n</html>\n");
    http_error_response(HTTP_ERR_TRANSFER_CODING, SPAN("x"), &b);
    assert_memory_equal(buf_begin(&b), "HTTP/1.1 501 Not Implemented\r\n", 30);
    buf_fini(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_known_headers),
        cmocka_unit_test(test_limits_are_clamped),
        cmocka_unit_test(test_head_bytes),
        cmocka_unit_test(test_empty_line_before_a_request),
        cmocka_unit_test(test_many_fields),
        cmocka_unit_test(test_error_texts),
        cmocka_unit_test(test_error_detail_is_cut),
        cmocka_unit_test(test_error_response),
        cmocka_unit_test(test_policy_indexes_and_own_scheme),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
