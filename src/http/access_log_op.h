/* SPDX-License-Identifier: MIT */
/*
 * The operations that a compiled access log format consists of: copy a literal, or render an atom.
 * Shared by compiler (access_log_format.c) and renderers (access_log_render.c, access_log_json.c),
 * and by nobody else.
 */
#ifndef SAOLA_HTTP_ACCESS_LOG_OP_H
#define SAOLA_HTTP_ACCESS_LOG_OP_H

#include "base/buf.h"
#include "base/macros.h"
#include "base/span.h"
#include "http/access_log_format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum access_log_atom {
    ATOM_LITERAL, /* no atom: bytes of the format */
    ATOM_UNKNOWN,
    ATOM_SPAN, /* a span of the record, at an offset */
    ATOM_REMOTE_ADDR,
    ATOM_USER,
    ATOM_REQUEST,
    ATOM_STATUS,
    ATOM_BODY_BYTES,
    ATOM_SECONDS,
    ATOM_MS,
    ATOM_US,
    ATOM_DECIMAL_SECONDS,
    ATOM_QUEUE_US,
    ATOM_PID,
    ATOM_REQUEST_HEADER,
    ATOM_RESPONSE_HEADER,
    ATOM_ENVIRON,
};

enum access_log_flag {
    FLAG_ALTERNATE = 1 << 0, /* # */
    FLAG_ZERO = 1 << 1,
    FLAG_LEFT = 1 << 2,
    FLAG_SPACE = 1 << 3,
    FLAG_PLUS = 1 << 4,
};

#define ACCESS_LOG_NO_PRECISION SIZE_MAX

struct access_log_op {
    uint8_t atom;
    uint8_t flags;
    char type;     /* s, d, x, X, o or f */
    bool plain;    /* %(name)s and nothing more */
    uint16_t span; /* ATOM_SPAN: its offset in the record */
    size_t width;
    size_t precision;
    struct span text; /* the literal, or the name within braces */
};

struct access_log_format {
    unsigned needs;
    bool json; /* not made of operations */
    size_t n_ops;
    struct access_log_op *ops; /* owned */
    char *text;                /* owned: what the spans of the operations point into */
};

/* Appends the line of the format "json", with its line end. -ENOBUFS: part of it may be there. */
int access_log_render_json(const struct access_log_record *record, struct buf *out) NODISCARD;

/* The user of Basic credentials, decoded to `out` and cut there: its length, 0 if there is none. */
size_t access_log_user(struct span authorization, char out[ACCESS_LOG_USER_MAX]);

#endif
