/* SPDX-License-Identifier: MIT */

#include "http/h1_request_line.h"

#include "base/macros.h"
#include "http/uri.h"

enum { METHOD_MIN = 3, METHOD_MAX = 20 }; /* Gunicorn's */

static enum http_method
known_method(struct span method)
{
    static const struct {
        struct span name;
        enum http_method id;
    } methods[] = {
        {{"GET", 3}, HTTP_METHOD_GET},         {{"POST", 4}, HTTP_METHOD_POST},
        {{"HEAD", 4}, HTTP_METHOD_HEAD},       {{"PUT", 3}, HTTP_METHOD_PUT},
        {{"DELETE", 6}, HTTP_METHOD_DELETE},   {{"PATCH", 5}, HTTP_METHOD_PATCH},
        {{"OPTIONS", 7}, HTTP_METHOD_OPTIONS}, {{"CONNECT", 7}, HTTP_METHOD_CONNECT},
        {{"TRACE", 5}, HTTP_METHOD_TRACE},
    };

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (span_eq(method, methods[i].name)) {
            return methods[i].id;
        }
    }
    return HTTP_METHOD_OTHER;
}

/* Any token under permit_unconventional_http_method; else 3 to 20 bytes, no lower case, no "#". */
static bool
valid_method(struct span method, const struct h1_limits *limits)
{
    if (!http_is_token(method)) {
        return false;
    }
    if (limits->permit_unconventional_http_method) {
        return true;
    }
    for (size_t i = 0; i < method.n; i++) {
        if (method.p[i] == '#' || (method.p[i] >= 'a' && method.p[i] <= 'z')) {
            return false;
        }
    }
    return method.n >= METHOD_MIN && method.n <= METHOD_MAX;
}

static enum http_error
refuse(struct h1_request_line *line, enum http_error error, size_t begin, size_t end)
{
    line->detail = (struct h1_part){(uint32_t)begin, (uint32_t)(end - begin)};
    return error;
}

static enum http_error
parse_method(struct h1_request_line *line, size_t begin, size_t end)
{
    struct h1_head *head = line->head;
    struct span method = span_of(line->data + begin, end - begin);

    head->method = (struct h1_part){(uint32_t)begin, (uint32_t)method.n};
    head->method_id = (uint8_t)known_method(method);
    if (LIKELY(head->method_id != HTTP_METHOD_OTHER)) {
        return HTTP_OK;
    }
    if (!valid_method(method, line->limits)) {
        return refuse(line, HTTP_ERR_METHOD, begin, end);
    }
    if (line->limits->casefold_http_method) {
        for (size_t i = begin; i < end; i++) {
            if (line->data[i] >= 'a' && line->data[i] <= 'z') {
                line->data[i] = (char)(line->data[i] & 0xdf);
            }
        }
        head->method_id = (uint8_t)known_method(method);
    }
    return HTTP_OK;
}

static inline size_t
find_path_end(const char *data, size_t from, size_t to)
{
    while (from < to && !(http_char_class[(unsigned char)data[from]] & HTTP_CHAR_PATH_END)) {
        from++;
    }
    return from;
}

/* A target that begins with a slash: path [ "?" query ] [ "#" fragment ]. */
static void
split_origin_form(struct h1_request_line *line, size_t begin, size_t end)
{
    struct h1_head *head = line->head;
    size_t at = find_path_end(line->data, begin, end);

    head->path = (struct h1_part){(uint32_t)begin, (uint32_t)(at - begin)};
    if (at < end && line->data[at] == '?') {
        size_t query = at + 1;
        const char *hash = memchr(line->data + query, '#', end - query);
        at = hash != NULL ? (size_t)(hash - line->data) : end;
        head->query = (struct h1_part){(uint32_t)query, (uint32_t)(at - query)};
    }
    if (at < end) {
        head->fragment = (struct h1_part){(uint32_t)at + 1, (uint32_t)(end - at - 1)};
    }
}

static struct h1_part
part_of(const struct h1_request_line *line, struct span s)
{
    return (struct h1_part){(uint32_t)(s.p - line->data), (uint32_t)s.n};
}

/* absolute-form, and for CONNECT whatever urlsplit makes of it. */
static bool
split_other_form(struct h1_request_line *line, struct span target)
{
    struct h1_head *head = line->head;
    struct uri_parts parts;

    if (uri_split(target, &parts) < 0) {
        return false;
    }
    /* RFC 9112 section 3.2.2; an empty host is an error by RFC 9110 section 4.2.1. */
    bool absolute = parts.scheme.n > 0 && parts.authority.n > 0;
    if (!absolute && head->method_id != HTTP_METHOD_CONNECT) {
        return false;
    }
    head->path = part_of(line, parts.path);
    head->query = part_of(line, parts.query);
    head->fragment = part_of(line, parts.fragment);
    return true;
}

static bool
parse_target(struct h1_request_line *line, size_t begin, size_t end)
{
    struct h1_head *head = line->head;
    struct span target = span_of(line->data + begin, end - begin);

    head->target = (struct h1_part){(uint32_t)begin, (uint32_t)target.n};
    if (target.n == 0) {
        return false;
    }
    if (LIKELY(target.p[0] == '/')) {
        split_origin_form(line, begin, end);
        return true;
    }
    if (target.n == 1 && target.p[0] == '*') { /* asterisk-form: RFC 9112 section 3.2.4 */
        head->path = head->target;
        return head->method_id == HTTP_METHOD_OPTIONS;
    }
    return split_other_form(line, target);
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static enum http_error
parse_version(struct h1_request_line *line, size_t begin, size_t end)
{
    struct h1_head *head = line->head;
    const char *p = line->data + begin;

    if (end - begin != 8 || memcmp(p, "HTTP/", 5) != 0 || !is_digit(p[5]) || p[6] != '.' ||
        !is_digit(p[7])) {
        return refuse(line, HTTP_ERR_VERSION, begin, end);
    }
    head->version_major = (uint8_t)(p[5] - '0');
    head->version_minor = (uint8_t)(p[7] - '0');
    if (head->version_major != 1 && !line->limits->permit_unconventional_http_version) {
        return refuse(line, HTTP_ERR_VERSION_RANGE, begin, end);
    }
    return HTTP_OK;
}

/* method SP request-target SP HTTP-version, each SP exactly one. */
enum http_error
h1_request_line_parse(struct h1_request_line *line, size_t begin, size_t end)
{
    const char *data = line->data;
    const char *first = memchr(data + begin, ' ', end - begin);
    if (first == NULL) {
        return refuse(line, HTTP_ERR_REQUEST_LINE, begin, end);
    }
    size_t target = (size_t)(first - data) + 1;
    const char *second = memchr(data + target, ' ', end - target);
    if (second == NULL) {
        return refuse(line, HTTP_ERR_REQUEST_LINE, begin, end);
    }
    size_t version = (size_t)(second - data) + 1;

    enum http_error error = parse_method(line, begin, target - 1);
    if (error != HTTP_OK) {
        return error;
    }
    if (!parse_target(line, target, version - 1)) {
        return refuse(line, HTTP_ERR_REQUEST_LINE, begin, end);
    }
    return parse_version(line, version, end);
}
