/* SPDX-License-Identifier: MIT */
/* Growable buffers and the blocks of the loop. */
#include "base/buf.h"
#include "net/blocks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void
test_appending_and_consuming_keeps_order(void **state)
{
    (void)state;
    struct buf b;
    char expected = 0;
    size_t in = 0;
    size_t out = 0;
    buf_init(&b, 4096);
    for (int round = 0; round < 2000; round++) {
        char bytes[3] = {(char)in, (char)(in + 1), (char)(in + 2)};
        if (b.len < 2000) {
            assert_int_equal(buf_append(&b, bytes, sizeof(bytes)), 0);
            in += sizeof(bytes);
        }
        if (round % 3 == 0) {
            continue;
        }
        assert_int_equal(buf_begin(&b)[0], expected);
        buf_consume(&b, 1);
        out++;
        expected = (char)out;
    }
    assert_int_equal(b.len, in - out);
    assert_true(b.cap <= 4096);
    buf_fini(&b);
}

static void
test_maximum_is_kept(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    assert_int_equal(buf_append(&b, "12345678", 8), 0);
    assert_int_equal(buf_append(&b, "901", 3), -ENOBUFS);
    assert_int_equal(b.len, 8);
    assert_int_equal(buf_append(&b, "90", 2), 0);
    assert_int_equal(buf_reserve(&b, SIZE_MAX), -ENOBUFS);
    buf_fini(&b);
}

static void
test_printf_grows(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(buf_printf(&b, "%s-%d;", "a", 7), 0);
    assert_int_equal(buf_printf(&b, "%500s", "b"), 0);
    assert_int_equal(b.len, 504);
    assert_memory_equal(buf_begin(&b), "a-7;", 4);
    assert_int_equal(buf_printf(&b, "%600s", "c"), -ENOBUFS);
    assert_int_equal(b.len, 504);
    buf_fini(&b);
}

static void
test_blocks_grow_and_come_back(void **state)
{
    (void)state;
    struct blocks blocks;
    struct block block = {0};
    char bytes[700];
    blocks_init(&blocks);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)i;
    }
    for (int i = 0; i < 500; i++) { /* through every size, and beyond the largest */
        block_append(&blocks, &block, bytes, sizeof(bytes));
    }
    assert_int_equal(block.len, 500 * sizeof(bytes));
    assert_true(blocks.used_bytes >= block.len);
    for (int i = 0; i < 500; i++) {
        assert_memory_equal(block_begin(&block), bytes, sizeof(bytes));
        block_consume(&blocks, &block, sizeof(bytes));
    }
    assert_null(block.data);
    assert_int_equal(blocks.used_bytes, 0);
    blocks_fini(&blocks);
}

static void
test_a_small_content_takes_a_small_block(void **state)
{
    (void)state;
    struct blocks blocks;
    struct block block = {0};
    blocks_init(&blocks);
    block_append(&blocks, &block, "GET", 3);
    assert_int_equal(block.cap, BLOCK_MIN_BYTES);
    block_release(&blocks, &block);
    block_release(&blocks, &block);
    assert_int_equal(blocks.used_bytes, 0);
    blocks_fini(&blocks);
}

static void
test_a_consumed_front_is_reused_before_growing(void **state)
{
    (void)state;
    struct blocks blocks;
    struct block block = {0};
    char bytes[1000] = {0};
    blocks_init(&blocks);
    block_append(&blocks, &block, bytes, sizeof(bytes));
    block_consume(&blocks, &block, 900);
    block_append(&blocks, &block, bytes, 900);
    assert_int_equal(block.cap, BLOCK_MIN_BYTES);
    assert_int_equal(block.len, 1000);
    block_release(&blocks, &block);
    blocks_fini(&blocks);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appending_and_consuming_keeps_order),
        cmocka_unit_test(test_maximum_is_kept),
        cmocka_unit_test(test_printf_grows),
        cmocka_unit_test(test_blocks_grow_and_come_back),
        cmocka_unit_test(test_a_small_content_takes_a_small_block),
        cmocka_unit_test(test_a_consumed_front_is_reused_before_growing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
