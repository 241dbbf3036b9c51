/* SPDX-License-Identifier: MIT */
/*
 * Request targets: splitting (as Python's urllib.parse.urlsplit does, which decides what PATH_INFO
 * and QUERY_STRING are) and percent-decoding. Pure functions; the results point into the input.
 */
#ifndef SAOLA_HTTP_URI_H
#define SAOLA_HTTP_URI_H

#include "base/macros.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>

struct uri_parts {
    struct span scheme;    /* "http" of an absolute-form, else empty */
    struct span authority; /* "host:80" of an absolute-form, else empty */
    struct span path;      /* not decoded; may be empty */
    struct span query;     /* without the question mark */
    struct span fragment;  /* without the number sign */
};

/* Splits any form of request target. A leading "//" belongs to the path (RFC 9112 section 3.2.1:
 * origin-form has no authority). "h:80" of CONNECT has the path "80", as with Gunicorn.
 * -EINVAL: an authority with unbalanced brackets. */
int uri_split(struct span target, struct uri_parts *ret_parts) NODISCARD;

/* Percent-decodes as urllib.parse.unquote_to_bytes(bytes) does: a percent sign without two
 * hexadecimal digits stays. Writes at most text.n bytes to `out`, which may be text.p itself, and
 * returns how many. */
size_t uri_unquote(struct span text, char *out);

#endif
