/* SPDX-License-Identifier: MIT */
/*
 * The chunked decoder. The first byte of an input chooses the switches, the second the size of the
 * pieces in which the rest arrives; what comes of it must not depend on them.
 */
#include "base/macros.h"
#include "base/mem.h"
#include "base/panic.h"
#include "http/h1_chunked.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIELDS = 6, FIELD_SIZE = 100, TRAILERS_MAX = 400 };

struct run {
    struct h1_chunked chunked;
    struct buf body;
    struct buf trailers;
    enum h1_result result;
    size_t consumed;
};

/* One piece, in memory of exactly its size. */
static void
feed_piece(struct run *run, const struct h1_limits *limits, const uint8_t *data, size_t size)
{
    char *piece = mem_dup(data, size);
    size_t at = 0;

    while (at < size && run->result == H1_MORE) {
        struct span out;
        size_t consumed;
        run->result =
            h1_chunked_feed(&run->chunked, limits, piece + at, size - at, &consumed, &out);
        ASSERT(consumed > 0 && consumed <= size - at);
        ASSERT(out.p >= piece + at && out.p + out.n <= piece + at + consumed);
        if (out.n > 0 && buf_append_span(&run->body, out) < 0) {
            abort();
        }
        at += consumed;
    }
    run->consumed += at;
    free(piece);
}

static void
run_pieces(struct run *run, const struct h1_limits *limits, const uint8_t *data, size_t size,
           size_t piece)
{
    *run = (struct run){.result = H1_MORE};
    buf_init(&run->body, SIZE_MAX / 2);
    buf_init(&run->trailers, TRAILERS_MAX);
    h1_chunked_init(&run->chunked, &run->trailers);
    for (size_t at = 0; at < size && run->result == H1_MORE;) {
        size_t n = MIN_OF(piece, size - at);
        feed_piece(run, limits, data + at, n);
        at += n;
    }
}

static void
run_fini(struct run *run)
{
    buf_fini(&run->body);
    buf_fini(&run->trailers);
}

static void
check_same(const struct run *a, const struct run *b)
{
    ASSERT(a->result == b->result);
    ASSERT(a->consumed == b->consumed);
    ASSERT(a->chunked.error == b->chunked.error);
    ASSERT(span_eq(h1_chunked_detail(&a->chunked), h1_chunked_detail(&b->chunked)));
    ASSERT(span_eq(buf_span(&a->body), buf_span(&b->body)));
    ASSERT(span_eq(buf_span(&a->trailers), buf_span(&b->trailers)));
}

/* Collected trailers are whole lines without control bytes. */
static void
check_trailers(const struct run *run)
{
    struct span rest = buf_span(&run->trailers);

    ASSERT(run->chunked.trailer_count <= FIELDS);
    while (rest.n > 0) {
        const char *end = memmem(rest.p, rest.n, "\r\n", 2);
        ASSERT(end != NULL && memchr(rest.p, ':', (size_t)(end - rest.p)) != NULL);
        for (const char *p = rest.p; p < end; p++) {
            unsigned char c = (unsigned char)*p;
            ASSERT((c >= 0x20 || c == '\t') && c != 0x7f);
        }
        rest = span_of(end + 2, rest.n - (size_t)(end + 2 - rest.p));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct h1_limits limits;
    struct run whole;
    struct run pieces;

    if (size < 2) {
        return 0;
    }
    h1_limits_set(&limits, 0, FIELDS, FIELD_SIZE);
    limits.permit_obsolete_folding = data[0] & 1;
    limits.strip_header_spaces = data[0] >> 1 & 1;
    limits.header_map = (enum h1_header_map)((data[0] >> 2) % 3);
    run_pieces(&whole, &limits, data + 2, size - 2, SIZE_MAX);
    run_pieces(&pieces, &limits, data + 2, size - 2, data[1] % 32 + 1);
    check_same(&whole, &pieces);
    if (whole.result == H1_DONE) {
        check_trailers(&whole);
    }
    run_fini(&whole);
    run_fini(&pieces);
    return 0;
}
