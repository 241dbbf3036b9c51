/* SPDX-License-Identifier: MIT */
/*
 * Bytes of a peer, made fit for a log: what comes out is printable ASCII, cannot end a quotation
 * and cannot begin a line. Pure functions.
 *
 * log_quote() is for the error log and writes as C does: \n, \r, \t, \", \', \\, and \xNN for every
 * other byte outside 0x20 to 0x7e. log_escape() is for the access log and writes \" for the quote
 * (as Gunicorn does) and \xNN for the backslash and every byte outside 0x20 to 0x7e. Both can be
 * undone.
 *
 * log_escape_json() writes the inside of a JSON string, in ASCII: characters beyond it as \uNNNN
 * (RFC 8259 section 7). JSON has no place for bytes that are not UTF-8, so in the text that a JSON
 * parser gives, such a byte is \xNN, and so is the backslash: that too can be undone.
 */
#ifndef SAOLA_LOG_QUOTE_H
#define SAOLA_LOG_QUOTE_H

#include "base/buf.h"
#include "base/span.h"

#include <stddef.h>

enum {
    LOG_QUOTE_MAX = 2048,        /* bytes of a text that are shown; the rest becomes "..." */
    LOG_ESCAPE_BYTES = 4,        /* what a byte may become */
    LOG_ESCAPE_JSON_BYTES = 6,   /* the same for log_escape_json() */
    LOG_QUOTE_TEXT_BYTES = 1024, /* a handy size for log_quote_text() */
};

/* Appends `text`, escaped; no quotation marks around it. What has no room in `out` is left out. */
void log_quote(struct buf *out, struct span text);

/* The same as a string in `out`, cut with "..." where `size` (at least 8) ends. Returns `out`, so
 * that it can stand in the arguments of log_printf(). */
const char *log_quote_text(char *out, size_t size, struct span text);

/* Writes `text`, escaped, to `out`, which has room for LOG_ESCAPE_BYTES * text.n bytes. Returns the
 * end of what was written. */
char *log_escape(char *out, struct span text);

/* The same for LOG_ESCAPE_JSON_BYTES * text.n bytes. */
char *log_escape_json(char *out, struct span text);

#endif
