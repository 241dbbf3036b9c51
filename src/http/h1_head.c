/* SPDX-License-Identifier: MIT */
/*
 * The meaning of a request head: which fields there are, how the body is framed, whether the
 * connection persists. Lines are h1_parse.c's business.
 */
#include "http/h1_head.h"

#include "base/macros.h"
#include "base/mem.h"
#include "base/num.h"

#include <stdlib.h>

void
h1_head_init(struct h1_head *head, struct h1_header *items, uint32_t cap)
{
    *head = (struct h1_head){.items = items, .cap = cap};
    h1_head_reset(head);
}

void
h1_head_fini(struct h1_head *head)
{
    free(head->grown);
    head->grown = NULL;
    head->items = NULL;
    head->cap = 0;
    head->count = 0;
}

void
h1_head_reset(struct h1_head *head)
{
    *head = (struct h1_head){
        .items = head->items,
        .grown = head->grown,
        .cap = head->cap,
        .content_length = -1,
        .host = H1_NO_HEADER,
        .content_type = H1_NO_HEADER,
        .content_length_field = H1_NO_HEADER,
        .script_name = H1_NO_HEADER,
    };
}

/* Bounded by h1_limits.fields. */
static void
head_grow(struct h1_head *head)
{
    uint32_t cap = MAX_OF(head->cap * 2, 64U);
    struct h1_header *items = mem_array(cap, sizeof(*items));

    if (head->count > 0) {
        memcpy(items, head->items, head->count * sizeof(*items));
    }
    free(head->grown);
    head->grown = items;
    head->items = items;
    head->cap = cap;
}

/* Where the index of a field that may occur once is kept, or NULL. */
static uint16_t *
singleton_slot(struct h1_head *head, enum http_header id)
{
    switch (id) {
    case HTTP_HEADER_HOST:
        return &head->host;
    case HTTP_HEADER_CONTENT_TYPE:
        return &head->content_type;
    case HTTP_HEADER_CONTENT_LENGTH:
        return &head->content_length_field;
    default:
        return NULL;
    }
}

enum http_error
h1_head_add(struct h1_head *head, const char *data, struct h1_header field)
{
    enum http_header id = http_header_lookup(h1_header_name(data, &field));

    field.id = (uint8_t)id;
    head->has_underscore |= field.underscore;
    if (id == HTTP_HEADER_UNKNOWN) {
        head->has_unknown = true;
    } else {
        head->seen[id >> 6] |= UINT64_C(1) << (id & 63);
        uint16_t *slot = singleton_slot(head, id);
        if (slot != NULL && *slot != H1_NO_HEADER) {
            return HTTP_ERR_FRAMING;
        }
        if (slot != NULL) {
            *slot = (uint16_t)head->count;
        }
    }
    if (UNLIKELY(head->count == head->cap)) {
        head_grow(head);
    }
    head->items[head->count++] = field;
    return HTTP_OK;
}

const struct h1_header *
h1_head_find(const struct h1_head *head, enum http_header id)
{
    if (!h1_head_has(head, id)) {
        return NULL;
    }
    for (uint32_t i = 0; i < head->count; i++) {
        if (head->items[i].id == id) {
            return &head->items[i];
        }
    }
    return NULL;
}

/* What the functions below share. */
struct verdict {
    struct h1_head *head;
    const char *data;
    const struct h1_limits *limits;
    struct h1_part detail; /* the offending part */
};

static enum http_error
refuse_name(struct verdict *v, enum http_error error, const struct h1_header *field)
{
    v->detail = (struct h1_part){field->name_off, field->name_len};
    return error;
}

static enum http_error
refuse_value(struct verdict *v, enum http_error error, const struct h1_header *field)
{
    v->detail = (struct h1_part){field->value_off, field->value_len};
    return error;
}

static bool
is_1_1(const struct h1_head *head)
{
    return head->version_major > 1 || (head->version_major == 1 && head->version_minor >= 1);
}

/* RFC 9110 section 10.1.1. From HTTP/1.0 an expectation that is understood is ignored. */
static enum http_error
judge_expect(struct verdict *v)
{
    struct h1_head *head = v->head;

    for (uint32_t i = 0; i < head->count; i++) {
        const struct h1_header *field = &head->items[i];
        if (field->id != HTTP_HEADER_EXPECT) {
            continue;
        }
        if (!span_eq_nocase(h1_header_value(v->data, field), SPAN("100-continue"))) {
            return refuse_value(v, HTTP_ERR_EXPECTATION, field);
        }
        head->expect_continue = is_1_1(head);
    }
    return HTTP_OK;
}

/* RFC 9112 section 3.2: one Host with a valid value, which may be empty, in every request of
 * HTTP/1.1. */
static enum http_error
judge_host(struct verdict *v)
{
    const struct h1_head *head = v->head;

    if (head->host == H1_NO_HEADER) {
        bool missing = is_1_1(head) && !v->limits->permit_missing_host;
        return missing ? HTTP_ERR_MISSING_HOST : HTTP_OK;
    }
    const struct h1_header *field = &head->items[head->host];
    struct span value = h1_header_value(v->data, field);
    for (size_t i = 0; i < value.n; i++) {
        if (!(http_char_class[(unsigned char)value.p[i]] & HTTP_CHAR_HOST)) {
            return refuse_name(v, HTTP_ERR_FRAMING, field);
        }
    }
    return HTTP_OK;
}

/* The codings of one Transfer-Encoding field; `chunked` ends the list over all of them. */
static enum http_error
judge_codings(struct verdict *v, const struct h1_header *field)
{
    struct h1_head *head = v->head;
    struct span list = h1_header_value(v->data, field);
    struct span coding;

    while (http_list_next(&list, &coding)) {
        bool chunked = span_eq_nocase(coding, SPAN("chunked"));
        bool identity = span_eq_nocase(coding, SPAN("identity"));
        bool coded = span_eq_nocase(coding, SPAN("gzip")) ||
                     span_eq_nocase(coding, SPAN("deflate")) ||
                     span_eq_nocase(coding, SPAN("compress"));
        if (!chunked && !identity && !coded) {
            return refuse_value(v, HTTP_ERR_TRANSFER_CODING, field);
        }
        if (head->chunked) {
            return refuse_name(v, HTTP_ERR_FRAMING, field);
        }
        head->chunked = chunked;
        head->coded_body |= coded;
    }
    return HTTP_OK;
}

/* RFC 9112 sections 6.1 and 6.3: what two recipients could frame in two ways is refused. */
static enum http_error
judge_transfer_encoding(struct verdict *v)
{
    struct h1_head *head = v->head;
    uint32_t last = 0;

    for (uint32_t i = 0; i < head->count; i++) {
        if (head->items[i].id == HTTP_HEADER_TRANSFER_ENCODING) {
            last = i;
            enum http_error error = judge_codings(v, &head->items[i]);
            if (error != HTTP_OK) {
                return error;
            }
        }
    }
    if ((head->coded_body && !head->chunked) || (head->chunked && !is_1_1(head))) {
        return refuse_name(v, HTTP_ERR_FRAMING, &head->items[last]);
    }
    if (head->chunked && head->content_length_field != H1_NO_HEADER) {
        return refuse_name(v, HTTP_ERR_FRAMING, &head->items[head->content_length_field]);
    }
    return HTTP_OK;
}

/* Digits only: no sign, no list, no value beyond int64_t. */
static enum http_error
judge_content_length(struct verdict *v)
{
    struct h1_head *head = v->head;
    const struct h1_header *field = &head->items[head->content_length_field];
    uint64_t length;

    if (num_from_dec(h1_header_value(v->data, field), &length) < 0 || length > INT64_MAX) {
        return refuse_name(v, HTTP_ERR_FRAMING, field);
    }
    head->content_length = (int64_t)length;
    return HTTP_OK;
}

/* RFC 9110 section 7.6.1: a list of options over all Connection fields; close wins. */
static void
judge_connection(struct verdict *v)
{
    struct h1_head *head = v->head;
    bool close = false;
    bool keep_alive = false;

    for (uint32_t i = 0; i < head->count; i++) {
        if (head->items[i].id != HTTP_HEADER_CONNECTION) {
            continue;
        }
        struct span list = h1_header_value(v->data, &head->items[i]);
        struct span option;
        while (http_list_next(&list, &option)) {
            close |= span_eq_nocase(option, SPAN("close"));
            keep_alive |= span_eq_nocase(option, SPAN("keep-alive"));
            head->upgrade |= span_eq_nocase(option, SPAN("upgrade"));
        }
    }
    head->upgrade = head->upgrade && h1_head_has(head, HTTP_HEADER_UPGRADE);
    head->keep_alive = !close && (keep_alive || is_1_1(head));
}

enum http_error
h1_head_finish(struct h1_head *head, const char *data, const struct h1_limits *limits,
               struct h1_part *ret_detail)
{
    struct verdict v = {.head = head, .data = data, .limits = limits};
    enum http_error error = HTTP_OK;

    head->keep_alive = is_1_1(head);
    if (UNLIKELY(h1_head_has(head, HTTP_HEADER_EXPECT))) {
        error = judge_expect(&v);
    }
    if (error == HTTP_OK) {
        error = judge_host(&v);
    }
    if (error == HTTP_OK && h1_head_has(head, HTTP_HEADER_TRANSFER_ENCODING)) {
        error = judge_transfer_encoding(&v);
    }
    if (error == HTTP_OK && head->content_length_field != H1_NO_HEADER) {
        error = judge_content_length(&v);
    }
    if (error == HTTP_OK && h1_head_has(head, HTTP_HEADER_CONNECTION)) {
        judge_connection(&v);
    }
    if (head->coded_body) {
        head->keep_alive = false;
    }
    *ret_detail = v.detail;
    return error;
}
