/* SPDX-License-Identifier: MIT */
#include "http/response_head.h"

#include "base/num.h"
#include "base/panic.h"
#include "http/h1.h"
#include "http/h1_scan.h"
#include "http/header.h"
#include "http/request.h"
#include "http/server.h"

#include <string.h>

enum {
    /* "HTTP/1.1 ", Server, Date, Connection and Transfer-Encoding with their names, and the empty
       line */
    FIXED_BYTES = 192,
};

/* --- what the application's head says --- */

/* Fields that are the server's business: they never come from the application. */
enum field_kind {
    FIELD_PLAIN,
    FIELD_DROPPED,
    FIELD_CONNECTION,
    FIELD_UPGRADE,
    FIELD_CONTENT_LENGTH,
};

/* `name` is a token. */
static enum field_kind
field_kind(struct span name)
{
    static const struct {
        struct span name;
        enum field_kind kind;
    } OF_LENGTH[][2] = {
        [2] = {{SPAN("te"), FIELD_DROPPED}},
        [4] = {{SPAN("date"), FIELD_DROPPED}},
        [6] = {{SPAN("server"), FIELD_DROPPED}},
        [7] = {{SPAN("upgrade"), FIELD_UPGRADE}},
        [8] = {{SPAN("trailers"), FIELD_DROPPED}},
        [10] = {{SPAN("connection"), FIELD_CONNECTION}, {SPAN("keep-alive"), FIELD_DROPPED}},
        [14] = {{SPAN("content-length"), FIELD_CONTENT_LENGTH}},
        [17] = {{SPAN("transfer-encoding"), FIELD_DROPPED}},
        [18] = {{SPAN("proxy-authenticate"), FIELD_DROPPED}},
        [19] = {{SPAN("proxy-authorization"), FIELD_DROPPED}},
    };
    for (size_t i = 0; name.n < ARRAY_LEN(OF_LENGTH) && i < ARRAY_LEN(OF_LENGTH[0]); i++) {
        struct span known = OF_LENGTH[name.n][i].name;
        if (known.n == name.n && http_same_name(name.p, known.p, name.n)) {
            return OF_LENGTH[name.n][i].kind;
        }
    }
    return FIELD_PLAIN;
}

/* RFC 9110 section 5.5: visible characters, SP, HTAB and obs-text. */
static bool
is_field_value(struct span value)
{
    return h1_scan(value.p, 0, value.n, true) == value.n;
}

/* "200 OK" or "200": the status code, or -1. */
static int
parse_status(struct span status)
{
    if (status.n < 3 || (status.n > 3 && status.p[3] != ' ') || !is_field_value(status)) {
        return -1;
    }
    uint64_t code;
    if (num_from_dec(span_of(status.p, 3), &code) < 0 || code < 100) {
        return -1;
    }
    return (int)code;
}

static int
check_field(const struct response_field *field, struct head_plan *plan)
{
    if (!http_is_token(field->name)) {
        return -RESPONSE_BAD_NAME;
    }
    if (!is_field_value(field->value)) {
        return -RESPONSE_BAD_VALUE;
    }
    plan->bytes += field->name.n + field->value.n + 4;
    switch (field_kind(field->name)) {
    case FIELD_CONNECTION:
        plan->upgrade |= span_eq_nocase(span_trim(field->value), SPAN("upgrade"));
        break;
    case FIELD_CONTENT_LENGTH: {
        uint64_t length;
        if (num_from_dec(span_trim(field->value), &length) < 0 ||
            (plan->length >= 0 && plan->length != (int64_t)length)) {
            return -RESPONSE_BAD_LENGTH;
        }
        plan->length = (int64_t)length;
        break;
    }
    default:
        break;
    }
    return 0;
}

int
head_plan_make(struct head_plan *plan, const struct request *request,
               const struct response_head *head, size_t *ret_field)
{
    *plan = (struct head_plan){
        .status = parse_status(head->status),
        .length = -1,
        .bytes = FIXED_BYTES + request->server->settings.server_token.n + head->status.n,
    };
    if (plan->status < 0) {
        return -RESPONSE_BAD_STATUS;
    }
    for (size_t i = 0; i < head->n_fields; i++) {
        int rc = check_field(&head->fields[i], plan);
        if (rc < 0) {
            *ret_field = i;
            return rc;
        }
    }
    return 0;
}

bool
request_is_http_1_1(const struct request *request)
{
    const struct h1_head *head = &request->head;
    return head->version_major > 1 || (head->version_major == 1 && head->version_minor >= 1);
}

static bool
has_no_body(const struct request *request, int status)
{
    return request->head.method_id == HTTP_METHOD_HEAD || status < 200 || status == 204 ||
           status == 304;
}

/* RFC 9112 section 6.3, from the sender's side. */
void
head_plan_decide(const struct head_plan *plan, struct request *request)
{
    struct response *response = &request->response;
    response->status = plan->status;
    response->length = MAX_OF(plan->length, 0);
    if (has_no_body(request, plan->status)) {
        response->framing = FRAMING_NONE;
    } else if (plan->length >= 0) {
        response->framing = FRAMING_LENGTH;
    } else if (request_is_http_1_1(request)) {
        response->framing = FRAMING_CHUNKED;
    } else {
        response->framing = FRAMING_CLOSE;
    }
    response->close = response->framing == FRAMING_CLOSE || !request->head.keep_alive ||
                      request->head.coded_body || plan->upgrade || h1_must_close(request);
}

/* --- rendering --- */

static char *
put(char *out, struct span text)
{
    memcpy(out, text.p, text.n);
    return out + text.n;
}

static char *
put_status_line(char *out, const struct request *request, struct span status)
{
    out = put(out, SPAN("HTTP/"));
    *out++ = (char)('0' + request->head.version_major);
    *out++ = '.';
    *out++ = (char)('0' + request->head.version_minor);
    *out++ = ' ';
    out = put(out, status);
    return put(out, SPAN("\r\n"));
}

static char *
put_server_fields(char *out, const struct request *request, bool upgrade)
{
    const struct response *response = &request->response;
    const struct http_server *server = request->server;
    out = put(out, SPAN("Server: "));
    out = put(out, server->settings.server_token);
    out = put(out, SPAN("\r\nDate: "));
    out = put(out, span_of(server->loop->clock.http_date, CLOCK_HTTP_DATE_LEN));
    if (upgrade) {
        out = put(out, SPAN("\r\nConnection: upgrade\r\n"));
    } else if (response->close) {
        out = put(out, SPAN("\r\nConnection: close\r\n"));
    } else {
        out = put(out, SPAN("\r\nConnection: keep-alive\r\n"));
    }
    if (response->framing == FRAMING_CHUNKED) {
        out = put(out, SPAN("Transfer-Encoding: chunked\r\n"));
    }
    return out;
}

static bool
is_copied(const struct response_field *field, int status, bool *length_copied)
{
    switch (field_kind(field->name)) {
    case FIELD_PLAIN:
        return true;
    case FIELD_UPGRADE:
        return span_eq_nocase(span_trim(field->value), SPAN("websocket"));
    case FIELD_CONTENT_LENGTH: {
        bool again = *length_copied; /* the same number twice is sent once */
        *length_copied = true;
        return !again && status >= 200 && status != 204; /* RFC 9110 section 8.6 */
    }
    default:
        return false;
    }
}

static char *
put_fields(char *out, const struct response_head *head, int status)
{
    bool length_copied = false;
    for (size_t i = 0; i < head->n_fields; i++) {
        const struct response_field *field = &head->fields[i];
        if (is_copied(field, status, &length_copied)) {
            out = put(out, field->name);
            out = put(out, SPAN(": "));
            out = put(out, span_trim(field->value));
            out = put(out, SPAN("\r\n"));
        }
    }
    return put(out, SPAN("\r\n"));
}

/* What was rendered up to `end` belongs to the block. */
static void
rendered(const struct head_plan *plan, struct block *out, const char *end)
{
    size_t bytes = (size_t)(end - block_end(out));
    ASSERT(bytes <= plan->bytes);
    out->len += (uint32_t)bytes;
}

void
head_plan_render(const struct head_plan *plan, const struct request *request,
                 const struct response_head *head, struct block *out)
{
    block_reserve(&request->server->loop->blocks, out, plan->bytes);
    char *end = put_status_line(block_end(out), request, head->status);
    end = put_server_fields(end, request, plan->upgrade);
    end = put_fields(end, head, plan->status);
    rendered(plan, out, end);
}

void
head_plan_render_informational(const struct head_plan *plan, const struct request *request,
                               const struct response_head *head, struct block *out)
{
    block_reserve(&request->server->loop->blocks, out, plan->bytes);
    char *end = put_status_line(block_end(out), request, head->status);
    end = put_fields(end, head, plan->status);
    rendered(plan, out, end);
}
