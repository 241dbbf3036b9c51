/* SPDX-License-Identifier: MIT */
/*
 * Whom to believe: what becomes of header names with an underscore (forwarder_headers, header_map),
 * of secure_scheme_headers and of SCRIPT_NAME. Evaluated after parsing, because it depends on the
 * peer. A request with neither an underscore nor a scheme header costs a few comparisons. The
 * policy belongs to the configuration and is constant while requests are served.
 */
#ifndef SAOLA_HTTP_H1_POLICY_H
#define SAOLA_HTTP_H1_POLICY_H

#include "http/h1_parse.h"

struct h1_scheme_header {
    struct span name;
    struct span value; /* exactly this one means https, any other http */
    uint8_t id;        /* set by h1_policy_prepare() */
};

struct h1_policy {
    const struct span *forwarder_headers; /* "*" stands for all; owned by the configuration */
    size_t forwarder_count;
    struct h1_scheme_header *scheme_headers; /* owned by the configuration */
    size_t scheme_count;
    enum h1_header_map header_map;

    uint64_t scheme_ids[2];  /* the well-known ones; set by h1_policy_prepare() */
    bool scheme_has_unknown; /* one is not in header.def; likewise */
};

/* Completes a policy whose lists and header_map are set. */
void h1_policy_prepare(struct h1_policy *policy);

/* Drops or refuses names with an underscore, sets head->scheme and head->script_name. HTTP_OK, or
 * an error whose detail is *ret_detail (a span of `data`, or empty). */
enum http_error h1_head_apply_policy(struct h1_head *head, const char *data,
                                     const struct h1_policy *policy, bool trusted,
                                     struct span *ret_detail) NODISCARD;

#endif
