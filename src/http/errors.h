/* SPDX-License-Identifier: MIT */
/*
 * The errors with which the server itself answers a request (errors.def): their status, and their
 * words in the error log and on the page.
 *
 * Every renderer escapes what came from the peer: control bytes, quotes and bytes outside of ASCII
 * never reach the log or the page as they are, so nobody can forge a log line; the page is escaped
 * for HTML on top of that. Details are cut at HTTP_ERROR_DETAIL_MAX bytes. Pure functions; the
 * caller owns `out`, and what does not fit into its maximum is left out.
 */
#ifndef SAOLA_HTTP_ERRORS_H
#define SAOLA_HTTP_ERRORS_H

#include "base/buf.h"
#include "base/span.h"

#include <stdbool.h>

enum http_error {
    HTTP_OK = 0,
#define HTTP_ERROR(name, status, reason, flags, text, message) HTTP_ERR_##name,
#include "http/errors.def"
    HTTP_ERROR_COUNT,
};

enum { HTTP_ERROR_DETAIL_MAX = 1024 };

struct http_error_info {
    const char *name;    /* "FIELD_SIZE" */
    int status;          /* 431 */
    const char *reason;  /* "Request Header Fields Too Large" */
    const char *text;    /* format of the log text, see errors.def */
    const char *message; /* format of the page's message */
    bool close;          /* the connection ends with the answer */
    bool logged;         /* the answer gets a line in the access log */
};

const struct http_error_info *http_error_info(enum http_error error);

/* The text for the log: "Invalid HTTP header name: 'X Y'". `detail` is raw bytes of the peer. */
void http_error_text(enum http_error error, struct span detail, struct buf *out);

/* The message for the page, not yet escaped for HTML. */
void http_error_render(enum http_error error, struct span detail, struct buf *out);

/* The complete response, head and page, in Gunicorn's form. */
void http_error_response(enum http_error error, struct span detail, struct buf *out);

/* Likewise with a status line and a message of the caller's, for errors that are not in the table.
 * The message is escaped for HTML here. */
void http_error_page(int status, const char *reason, struct span message, struct buf *out);

/* Bytes of such a response before its body: all that a HEAD request gets. */
size_t http_error_head_bytes(const struct buf *response);

/* Appends `s` quoted like Python's repr() of a str: 'it' or "it's", with \n, \\ and \x00. */
void http_quote(struct span s, struct buf *out);

#endif
