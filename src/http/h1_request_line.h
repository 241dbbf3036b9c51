/* SPDX-License-Identifier: MIT */
/*
 * The request line: method, target and version (RFC 9112 section 3), judged in Gunicorn's order.
 * Private to the HTTP/1 parser, which finds the line and has made sure that it has no control
 * bytes.
 */
#ifndef SAOLA_HTTP_H1_REQUEST_LINE_H
#define SAOLA_HTTP_H1_REQUEST_LINE_H

#include "http/h1_parse.h"

struct h1_request_line {
    struct h1_head *head; /* receives method, target, path, query, fragment and version */
    const struct h1_limits *limits;
    char *data;            /* of the head; the method is changed with casefold_http_method */
    struct h1_part detail; /* after an error: the offending part */
};

/* The line is data[begin, end), without its CR LF. */
enum http_error h1_request_line_parse(struct h1_request_line *line, size_t begin, size_t end)
    NODISCARD;

#endif
