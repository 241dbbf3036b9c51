/* SPDX-License-Identifier: MIT */

#include "http/h1_policy.h"

#include "base/macros.h"

void
h1_policy_prepare(struct h1_policy *policy)
{
    policy->scheme_ids[0] = 0;
    policy->scheme_ids[1] = 0;
    policy->scheme_has_unknown = false;
    for (size_t i = 0; i < policy->scheme_count; i++) {
        struct h1_scheme_header *header = &policy->scheme_headers[i];
        header->id = (uint8_t)(http_is_token(header->name) ? http_header_lookup(header->name)
                                                           : HTTP_HEADER_UNKNOWN);
        if (header->id == HTTP_HEADER_UNKNOWN) {
            policy->scheme_has_unknown = true;
        } else {
            policy->scheme_ids[header->id >> 6] |= UINT64_C(1) << (header->id & 63);
        }
    }
}

static const struct h1_scheme_header *
find_scheme_header(const struct h1_policy *policy, const char *data, const struct h1_header *field)
{
    for (size_t i = 0; i < policy->scheme_count; i++) {
        const struct h1_scheme_header *header = &policy->scheme_headers[i];
        if (header->id != field->id) {
            continue;
        }
        if (header->id != HTTP_HEADER_UNKNOWN ||
            span_eq_nocase(header->name, h1_header_name(data, field))) {
            return header;
        }
    }
    return NULL;
}

/* All listed headers of a request, and all repeats of one, have to agree. */
static enum http_error
apply_scheme(struct h1_head *head, const char *data, const struct h1_policy *policy)
{
    for (uint32_t i = 0; i < head->count; i++) {
        const struct h1_header *field = &head->items[i];
        const struct h1_scheme_header *header = find_scheme_header(policy, data, field);
        if (header == NULL) {
            continue;
        }
        bool secure = span_eq(header->value, h1_header_value(data, field));
        uint8_t scheme = secure ? H1_SCHEME_HTTPS : H1_SCHEME_HTTP;
        if (head->scheme != H1_SCHEME_TRANSPORT && head->scheme != scheme) {
            return HTTP_ERR_SCHEME;
        }
        head->scheme = scheme;
    }
    return HTTP_OK;
}

static bool
may_forward(const struct h1_policy *policy, struct span name)
{
    for (size_t i = 0; i < policy->forwarder_count; i++) {
        struct span listed = policy->forwarder_headers[i];
        if (span_eq(listed, SPAN("*")) || span_eq_nocase(listed, name)) {
            return true;
        }
    }
    return false;
}

static void
move_index(uint16_t *index, uint32_t from, uint32_t to)
{
    if (*index == from) {
        *index = (uint16_t)to;
    }
}

/* Keeps, drops or refuses each name with an underscore; what is kept closes the gaps. */
static enum http_error
apply_underscores(struct h1_head *head, const char *data, const struct h1_policy *policy,
                  bool trusted, struct span *ret_detail)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < head->count; i++) {
        const struct h1_header *field = &head->items[i];
        struct span name = h1_header_name(data, field);
        bool forwarded = field->underscore && trusted && may_forward(policy, name);

        if (field->underscore && !forwarded && policy->header_map == H1_MAP_REFUSE) {
            *ret_detail = name;
            return HTTP_ERR_HEADER_REFUSED;
        }
        if (field->underscore && !forwarded && policy->header_map == H1_MAP_DROP) {
            continue;
        }
        if (forwarded && span_eq_nocase(name, SPAN("SCRIPT_NAME"))) {
            head->script_name = (uint16_t)kept;
        }
        move_index(&head->host, i, kept);
        move_index(&head->content_type, i, kept);
        move_index(&head->content_length_field, i, kept);
        head->items[kept++] = *field;
    }
    head->count = kept;
    return HTTP_OK;
}

enum http_error
h1_head_apply_policy(struct h1_head *head, const char *data, const struct h1_policy *policy,
                     bool trusted, struct span *ret_detail)
{
    *ret_detail = span_of(NULL, 0);
    if (trusted) {
        bool known = (head->seen[0] & policy->scheme_ids[0]) || //
                     (head->seen[1] & policy->scheme_ids[1]);
        if (known || (head->has_unknown && policy->scheme_has_unknown)) {
            enum http_error error = apply_scheme(head, data, policy);
            if (error != HTTP_OK) {
                return error;
            }
        }
    }
    if (LIKELY(!head->has_underscore)) {
        return HTTP_OK;
    }
    return apply_underscores(head, data, policy, trusted, ret_detail);
}
