/* SPDX-License-Identifier: MIT */
/*
 * The chunked decoder as its caller sees it: which bytes are consumed, which spans handed out. What
 * is valid and what is not: tests/vectors/h1/chunked.txt.
 */
#include "http/h1_chunked.h"

#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka.h needs those above
#include <cmocka.h>

struct fixture {
    struct h1_limits limits;
    struct h1_chunked chunked;
    struct span data;
    size_t consumed;
};

static int
setup(void **state)
{
    static struct fixture f;

    h1_limits_set(&f.limits, 0, 0, 0);
    h1_chunked_init(&f.chunked, NULL);
    *state = &f;
    return 0;
}

static enum h1_result
feed(struct fixture *f, const char *bytes)
{
    return h1_chunked_feed(&f->chunked, &f->limits, bytes, strlen(bytes), &f->consumed, &f->data);
}

static void
test_one_span_a_call(void **state)
{
    struct fixture *f = *state;
    const char *p = "5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\nNEXT";

    assert_int_equal(feed(f, p), H1_MORE);
    assert_true(span_eq(f->data, SPAN("hello")));
    assert_int_equal(f->consumed, 8);
    assert_ptr_equal(f->data.p, p + 3);

    p += f->consumed;
    assert_int_equal(feed(f, p), H1_MORE);
    assert_true(span_eq(f->data, SPAN("abc")));
    assert_int_equal(f->consumed, 8);

    p += f->consumed;
    assert_int_equal(feed(f, p), H1_DONE);
    assert_int_equal(f->data.n, 0);
    assert_string_equal(p + f->consumed, "NEXT");
}

static void
test_data_in_pieces(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(feed(f, "a\r\n0123"), H1_MORE);
    assert_true(span_eq(f->data, SPAN("0123")));
    assert_int_equal(feed(f, "456"), H1_MORE);
    assert_true(span_eq(f->data, SPAN("456")));
    assert_int_equal(feed(f, "789\r"), H1_MORE);
    assert_true(span_eq(f->data, SPAN("789")));
    assert_int_equal(f->consumed, 3);
    assert_int_equal(feed(f, "\r"), H1_MORE);
    assert_int_equal(f->data.n, 0);
    assert_int_equal(f->consumed, 1);
    assert_int_equal(feed(f, "\n0\r\n\r"), H1_MORE);
    assert_int_equal(feed(f, "\n"), H1_DONE);
}

static void
test_nothing_to_feed(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(feed(f, ""), H1_MORE);
    assert_int_equal(f->consumed, 0);
    assert_int_equal(f->data.n, 0);
}

static void
test_nothing_is_consumed_after_the_end(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(feed(f, "0\r\n\r\n"), H1_DONE);
    assert_int_equal(feed(f, "GET"), H1_DONE);
    assert_int_equal(f->consumed, 0);
}

static void
test_error_stays(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(feed(f, "x\r\n"), H1_ERROR);
    assert_int_equal(f->chunked.error, HTTP_ERR_CHUNK_SIZE);
    assert_true(span_eq(h1_chunked_detail(&f->chunked), SPAN("x")));
    assert_int_equal(feed(f, "0\r\n\r\n"), H1_ERROR);
    assert_int_equal(f->consumed, 0);
}

/* A chunk beyond 4 GiB is counted, not buffered. */
static void
test_large_chunk(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(feed(f, "100000000\r\nabc"), H1_MORE);
    assert_int_equal(f->chunked.left, (UINT64_C(1) << 32) - 3);
}

static void
test_trailers_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct buf trailers;

    buf_init(&trailers, 8);
    h1_chunked_init(&f->chunked, &trailers);
    assert_int_equal(feed(f, "0\r\nA: b\r\nC: d\r\n\r\n"), H1_ERROR);
    assert_int_equal(f->chunked.error, HTTP_ERR_HEAD_SIZE);
    buf_fini(&trailers);
}

static void
test_dropped_trailer_leaves_the_others(void **state)
{
    struct fixture *f = *state;
    struct buf trailers;

    buf_init(&trailers, SIZE_MAX / 2);
    h1_chunked_init(&f->chunked, &trailers);
    f->limits.permit_obsolete_folding = 1;
    assert_int_equal(feed(f, "0\r\nA: b \r\nx_y: z\r\n w\r\nC:d\r\n e\r\n\r\n"), H1_DONE);
    assert_true(span_eq(buf_span(&trailers), SPAN("A: b\r\nC: d e\r\n")));
    buf_fini(&trailers);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_one_span_a_call, setup),
        cmocka_unit_test_setup(test_data_in_pieces, setup),
        cmocka_unit_test_setup(test_nothing_to_feed, setup),
        cmocka_unit_test_setup(test_nothing_is_consumed_after_the_end, setup),
        cmocka_unit_test_setup(test_error_stays, setup),
        cmocka_unit_test_setup(test_large_chunk, setup),
        cmocka_unit_test_setup(test_trailers_are_bounded, setup),
        cmocka_unit_test_setup(test_dropped_trailer_leaves_the_others, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
