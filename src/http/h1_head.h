/* SPDX-License-Identifier: MIT */
/*
 * What the parser needs of struct h1_head beyond h1_parse.h: adding fields, and the verdict on the
 * complete head. Private to the HTTP/1 parser.
 */
#ifndef SAOLA_HTTP_H1_HEAD_H
#define SAOLA_HTTP_H1_HEAD_H

#include "http/h1_parse.h"

/* Forgets the previous request; the header array stays. */
void h1_head_reset(struct h1_head *head);

/* Adds a field, whose id is set here. HTTP_OK, or HTTP_ERR_FRAMING for a second Host, Content-Type
 * or Content-Length. */
enum http_error h1_head_add(struct h1_head *head, const char *data, struct h1_header field)
    NODISCARD;

/* Decides framing and persistence once all fields are known. On an error *ret_detail is the
 * offending part. */
enum http_error h1_head_finish(struct h1_head *head, const char *data,
                               const struct h1_limits *limits, struct h1_part *ret_detail)
    NODISCARD;

#endif
