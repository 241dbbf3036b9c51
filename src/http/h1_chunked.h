/* SPDX-License-Identifier: MIT */
/*
 * Decoder of the chunked transfer coding (RFC 9112 section 7.1): incremental, without copies.
 *
 *     while (n > 0) {
 *         result = h1_chunked_feed(&chunked, p, n, &consumed, &data);
 *         ... take data.n bytes at data.p ...
 *         p += consumed, n -= consumed;
 *         if (result != H1_MORE) break;
 *     }
 *
 * Framing is consumed as it arrives, byte by byte, so nothing has to be kept for the next call;
 * every part of it that a peer can stretch has a limit. Chunk extensions are ignored. Trailer
 * fields are judged like header fields, and collected if the owner asks for them. What follows the
 * last chunk is not consumed: it is the next request. No locks, no allocation but in `trailers`.
 */
#ifndef SAOLA_HTTP_H1_CHUNKED_H
#define SAOLA_HTTP_H1_CHUNKED_H

#include "http/h1_parse.h"

enum {
    H1_CHUNK_LINE_MAX = 4096,  /* bytes of a chunk's size and extensions */
    H1_CHUNKED_DETAIL_MAX = 32 /* bytes of an offending text that are kept */
};

struct h1_chunked {
    uint64_t left;        /* bytes of the current chunk that have not been handed out */
    struct buf *trailers; /* "Name: value\r\n" of each valid one; NULL: not collected; borrowed */
    size_t trailer_mark;  /* where the current one begins in it */
    uint32_t line;        /* bytes of the current framing line */
    uint32_t blanks;      /* at the end of the trailer's value so far */
    uint32_t trailer_count;
    uint8_t state;
    uint8_t detail_len;
    bool underscore;        /* in the name of the current trailer */
    bool drop;              /* the current trailer is not collected */
    bool seen_content_type; /* among the trailers */
    enum http_error error;
    char
        detail[H1_CHUNKED_DETAIL_MAX]; /* the size or name being read; after an error, its detail */
};

/* `trailers` may be NULL; its maximum is respected. */
void h1_chunked_init(struct h1_chunked *chunked, struct buf *trailers);

/*
 * Consumes *ret_consumed bytes of data and hands out *ret_data, a span of it (possibly empty).
 * H1_DONE: the body has ended. H1_MORE: call again with what was not consumed, if any, or with more
 * bytes; at least one byte is consumed if len > 0. H1_ERROR: chunked->error says why.
 */
enum h1_result h1_chunked_feed(struct h1_chunked *chunked, const struct h1_limits *limits,
                               const char *data, size_t len, size_t *ret_consumed,
                               struct span *ret_data) NODISCARD;

/* What was wrong, for the renderers of http/errors.h. */
static inline struct span
h1_chunked_detail(const struct h1_chunked *chunked)
{
    return span_of(chunked->detail, chunked->detail_len);
}

#endif
