/* SPDX-License-Identifier: MIT */
/*
 * The request head. The first byte of an input chooses the switches, the second where the rest is
 * cut in two; what comes of it must not depend on the cut, and every offset must lie within it.
 */
#include "base/macros.h"
#include "base/mem.h"
#include "base/panic.h"
#include "http/h1_parse.h"
#include "http/h1_policy.h"
#include "http/uri.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ITEMS = 2, LINE = 200, FIELDS = 12, FIELD_SIZE = 300 };

struct run {
    char *bytes; /* exactly as many as have been received, so that a sanitizer sees a read beyond */
    struct h1_parser parser;
    struct h1_head head;
    struct h1_header items[ITEMS];
    enum h1_result result;
};

static void
run_init(struct run *run)
{
    run->bytes = NULL;
    h1_parser_init(&run->parser);
    h1_head_init(&run->head, run->items, ITEMS);
    run->result = H1_MORE;
}

static void
run_fini(struct run *run)
{
    free(run->bytes);
    h1_head_fini(&run->head);
}

/* All of the bytes have arrived of which `before` were there already. */
static void
run_feed(struct run *run, const struct h1_limits *limits, const uint8_t *data, size_t before,
         size_t size)
{
    char *bytes = mem_alloc(size > 0 ? size : 1);

    if (before > 0) {
        memcpy(bytes, run->bytes, before);
    }
    if (size > before) {
        memcpy(bytes + before, data + before, size - before);
    }
    free(run->bytes);
    run->bytes = bytes;
    run->result = h1_parse_head(&run->parser, limits, bytes, size, &run->head);
}

static void
check_part(struct h1_part part, size_t size)
{
    ASSERT(part.off <= size && part.len <= size - part.off);
}

static void
check_head(const struct run *run, const struct h1_limits *limits, size_t size)
{
    const struct h1_head *head = &run->head;

    ASSERT(head->head_len <= size);
    ASSERT(memcmp(run->bytes + head->head_len - 2, "\r\n", 2) == 0);
    check_part(head->method, head->head_len);
    check_part(head->target, head->head_len);
    check_part(head->path, head->head_len);
    check_part(head->query, head->head_len);
    check_part(head->fragment, head->head_len);
    ASSERT(head->count <= limits->fields);
    ASSERT(!head->chunked || head->content_length < 0);
    for (uint32_t i = 0; i < head->count; i++) {
        const struct h1_header *field = &head->items[i];
        check_part((struct h1_part){field->name_off, field->name_len}, head->head_len);
        check_part((struct h1_part){field->value_off, field->value_len}, head->head_len);
        ASSERT(http_is_token(h1_header_name(run->bytes, field)));
        struct span value = h1_header_value(run->bytes, field);
        for (size_t k = 0; k < value.n; k++) {
            unsigned char c = (unsigned char)value.p[k];
            ASSERT((c >= 0x20 || c == '\t') && c != 0x7f);
        }
    }
}

/* Whatever was wrong can be worded, in printable ASCII. */
static void
check_error(const struct run *run, const struct h1_limits *limits, size_t size)
{
    struct buf detail;
    struct buf text;

    check_part((struct h1_part){run->parser.error_off, run->parser.error_len}, size);
    buf_init(&detail, SIZE_MAX / 2);
    buf_init(&text, SIZE_MAX / 2);
    h1_parser_detail(&run->parser, limits, run->bytes, &detail);
    http_error_text(run->parser.error, buf_span(&detail), &text);
    http_error_response(run->parser.error, buf_span(&detail), &text);
    for (const char *p = buf_begin(&text); p < buf_end(&text); p++) {
        ASSERT((*p >= 0x20 && *p < 0x7f) || *p == '\r' || *p == '\n');
    }
    buf_fini(&detail);
    buf_fini(&text);
}

static void
check_same(const struct run *a, const struct run *b)
{
    ASSERT(a->result == b->result);
    if (a->result == H1_ERROR) {
        ASSERT(a->parser.error == b->parser.error);
        ASSERT(a->parser.error_off == b->parser.error_off);
        ASSERT(a->parser.error_len == b->parser.error_len ||
               a->parser.error == HTTP_ERR_REQUEST_LINE_SIZE);
    }
    if (a->result != H1_DONE) {
        return;
    }
    ASSERT(a->head.count == b->head.count);
    ASSERT(memcmp(a->bytes, b->bytes, a->head.head_len) == 0);
    for (uint32_t i = 0; i < a->head.count; i++) {
        ASSERT(memcmp(&a->head.items[i], &b->head.items[i], sizeof(a->head.items[i])) == 0);
    }
    size_t rest = offsetof(struct h1_head, count);
    ASSERT(memcmp((const char *)&a->head + rest, (const char *)&b->head + rest,
                  sizeof(a->head) - rest) == 0);
}

static void
check_policy(struct run *run, unsigned choice)
{
    static const struct span forwarders[] = {{"SCRIPT_NAME", 11}, {"X_Y", 3}};
    struct h1_scheme_header schemes[] = {{SPAN("X-Forwarded-Proto"), SPAN("https"), 0},
                                         {SPAN("X-Custom"), SPAN("on"), 0}};
    struct h1_policy policy = {
        .forwarder_headers = forwarders,
        .forwarder_count = ARRAY_LEN(forwarders),
        .scheme_headers = schemes,
        .scheme_count = ARRAY_LEN(schemes),
        .header_map = (enum h1_header_map)(choice % 3),
    };
    struct h1_head *head = &run->head;
    struct span detail;

    h1_policy_prepare(&policy);
    bool trusted = choice & 4;
    bool host = head->host != H1_NO_HEADER;
    if (h1_head_apply_policy(head, run->bytes, &policy, trusted, &detail) != HTTP_OK) {
        return;
    }
    ASSERT(!host || head->items[head->host].id == HTTP_HEADER_HOST);
    ASSERT(head->script_name == H1_NO_HEADER || (trusted && head->script_name < head->count));
    for (uint32_t i = 0; i < head->count; i++) {
        ASSERT(!head->items[i].underscore || trusted || policy.header_map == H1_MAP_DANGEROUS);
    }
}

static void
check_path(const struct run *run)
{
    struct span path = h1_part_span(run->bytes, run->head.path);
    char *out = mem_alloc(path.n * 2 + 1);

    ASSERT(uri_unquote(path, out) <= path.n);
    free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct h1_limits limits;
    struct run whole;
    struct run cut;

    if (size < 2) {
        return 0;
    }
    unsigned choice = data[0];
    size_t at = data[1] < size - 2 ? data[1] : size - 2;
    data += 2;
    size -= 2;
    h1_limits_set(&limits, LINE, FIELDS, FIELD_SIZE);
    limits.permit_obsolete_folding = choice & 1;
    limits.strip_header_spaces = choice >> 1 & 1;
    limits.permit_unconventional_http_method = choice >> 2 & 1;
    limits.permit_unconventional_http_version = choice >> 3 & 1;
    limits.casefold_http_method = choice >> 4 & 1;
    limits.permit_missing_host = choice >> 5 & 1;

    run_init(&whole);
    run_init(&cut);
    run_feed(&whole, &limits, data, 0, size);
    run_feed(&cut, &limits, data, 0, at);
    if (cut.result == H1_MORE) {
        run_feed(&cut, &limits, data, at, size);
        check_same(&whole, &cut);
    } else {
        ASSERT(cut.result == whole.result && cut.parser.error == whole.parser.error);
    }
    if (whole.result == H1_DONE) {
        check_head(&whole, &limits, size);
        check_path(&whole);
        check_policy(&whole, choice >> 5);
    } else if (whole.result == H1_ERROR) {
        check_error(&whole, &limits, size);
    }
    run_fini(&whole);
    run_fini(&cut);
    return 0;
}
