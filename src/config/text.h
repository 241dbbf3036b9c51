/* SPDX-License-Identifier: MIT */
/*
 * Texts for the user, put together the way Python writes values. Grows a struct buf made with
 * text_init(); text_take() turns it into a string of its own. Allocation never fails (base/mem.h),
 * so nothing here does. Callable from any thread.
 */
#ifndef SAOLA_CONFIG_TEXT_H
#define SAOLA_CONFIG_TEXT_H

#include "base/buf.h"
#include "base/macros.h"

#include <stdint.h>

void text_init(struct buf *text);
char *text_take(struct buf *text) NODISCARD; /* release with free(); text is empty afterwards */

void text_add(struct buf *text, const char *string);
void text_add_bytes(struct buf *text, const char *bytes, size_t n);
void text_add_int(struct buf *text, int64_t value);

/* As repr() of a string: quoted, control characters escaped, bytes that are not UTF-8 as the
 * surrogates by which Python keeps them. */
void text_add_repr(struct buf *text, const char *string);

#endif
