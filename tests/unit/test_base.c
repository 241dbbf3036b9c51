/* SPDX-License-Identifier: MIT */
/* Numbers, dates, lists, descriptors, temporary files. */
#include "base/clock.h"
#include "base/fd.h"
#include "base/list.h"
#include "base/num.h"
#include "base/span.h"
#include "base/spool.h"
#include "net/timeout.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void
test_decimal_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        uint64_t value;
    } CASES[] = {
        {"0", 0, 0},
        {"007", 0, 7},
        {"9223372036854775807", 0, INT64_MAX},
        {"9223372036854775808", -ERANGE, 0},
        {"99999999999999999999999", -ERANGE, 0},
        {"", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {"+1", -EINVAL, 0},
        {"1 ", -EINVAL, 0},
        {"0x1", -EINVAL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        uint64_t value = 0;
        assert_int_equal(num_from_dec(span_str(CASES[i].text), &value), CASES[i].rc);
        assert_true(value == CASES[i].value);
    }
    char text[NUM_DEC_MAX];
    assert_int_equal(num_to_dec(UINT64_MAX, text), 20);
    assert_memory_equal(text, "18446744073709551615", 20);
    assert_int_equal(num_to_dec(0, text), 1);
    assert_int_equal(num_to_hex(0xdeadbeef, text), 8);
    assert_memory_equal(text, "deadbeef", 8);
}

static void
test_hex_digits(void **state)
{
    (void)state;
    int digits = 0;
    for (int c = 0; c < 256; c++) {
        int value = num_hex_digit((unsigned char)c);
        if (value >= 0) {
            assert_true(strchr("0123456789abcdefABCDEF", c) != NULL);
            char text[2] = {(char)c, '\0'};
            assert_int_equal(value, strtol(text, NULL, 16));
            digits++;
        }
    }
    assert_int_equal(digits, 22);
}

static void
test_dates(void **state)
{
    (void)state;
    char http[CLOCK_HTTP_DATE_LEN + 1];
    char log[CLOCK_LOG_DATE_LEN + 1];
    clock_render_http_date(784111777, http);
    assert_string_equal(http, "Sun, 06 Nov 1994 08:49:37 GMT");
    setenv("TZ", "XXX-05:30", 1);
    tzset();
    clock_render_log_date(784111777, log);
    assert_string_equal(log, "[06/Nov/1994:14:19:37 +0530]");
    setenv("TZ", "XXX+03:00", 1);
    tzset();
    clock_render_log_date(784111777, log);
    assert_string_equal(log, "[06/Nov/1994:05:49:37 -0300]");
    unsetenv("TZ");
    tzset();
}

static void
test_spans(void **state)
{
    (void)state;
    assert_true(span_eq_nocase(SPAN("Content-LENGTH"), SPAN("content-length")));
    assert_false(span_eq_nocase(SPAN("a@"), SPAN("a`")));
    assert_true(span_eq(span_trim(SPAN(" \t a b\t ")), SPAN("a b")));
    assert_int_equal(span_trim(SPAN(" \t")).n, 0);
    assert_true(span_eq(span_of(NULL, 0), SPAN("")));
}

static void
test_list_order(void **state)
{
    (void)state;
    struct list head;
    struct list nodes[3];
    list_init(&head);
    assert_null(list_first(&head));
    for (int i = 0; i < 3; i++) {
        list_init(&nodes[i]);
        assert_false(list_linked(&nodes[i]));
        list_append(&head, &nodes[i]);
    }
    list_remove(&nodes[1]);
    list_remove(&nodes[1]);
    assert_ptr_equal(list_first(&head), &nodes[0]);
    assert_ptr_equal(nodes[0].next, &nodes[2]);
    list_prepend(&head, &nodes[1]);
    assert_ptr_equal(list_first(&head), &nodes[1]);
}

static void
test_timeouts_expire_in_order(void **state)
{
    (void)state;
    struct timeout_queue queue;
    struct timeout timeouts[3];
    timeout_queue_init(&queue, 10);
    for (int i = 0; i < 3; i++) {
        timeout_init(&timeouts[i]);
        timeout_start(&queue, &timeouts[i], i);
    }
    timeout_start(&queue, &timeouts[0], 5); /* moves to the end */
    assert_null(timeout_expired(&queue, 10));
    assert_ptr_equal(timeout_expired(&queue, 11), &timeouts[1]);
    timeout_stop(&timeouts[1]);
    assert_null(timeout_expired(&queue, 11));
    assert_ptr_equal(timeout_expired(&queue, 100), &timeouts[2]);
    timeout_stop(&timeouts[2]);
    assert_ptr_equal(timeout_oldest(&queue), &timeouts[0]);
    assert_int_equal(timeouts[0].deadline_ns, 15);
}

static void
test_temporary_files_have_no_name(void **state)
{
    (void)state;
    char directory[] = "/tmp/saola-test-XXXXXX";
    assert_non_null(mkdtemp(directory));
    int fd = fd_tmpfile(directory);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(rmdir(directory), 0); /* it is empty */
    fd_close(&fd);
    assert_int_equal(fd, -1);
    assert_int_equal(fd_tmpfile("/nonexistent/directory"), -ENOENT);
}

static void
test_the_numbers_of_standard_files_are_not_used(void **state)
{
    (void)state;
    assert_int_equal(fd_open_stdio(), 0);
    int saved = dup(STDIN_FILENO);
    assert_true(saved > STDERR_FILENO);
    assert_int_equal(close(STDIN_FILENO), 0);
    int fd = fd_dup(saved);
    int moved = fd_above_stdio(open("/dev/null", O_RDONLY));
    assert_int_equal(fcntl(STDIN_FILENO, F_GETFD), -1);
    assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
    assert_true(fd > STDERR_FILENO && moved > STDERR_FILENO);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    fd_close(&fd);
    fd_close(&moved);
    fd_close(&saved);
}

static void
test_spool_is_a_queue(void **state)
{
    (void)state;
    struct spool spool;
    char bytes[16];
    spool_init(&spool);
    assert_int_equal(spool.fd, -1);
    assert_int_equal(spool_append(&spool, NULL, "hello ", 6), 0);
    assert_int_equal(spool_append(&spool, NULL, "world", 5), 0);
    assert_int_equal(spool_pending(&spool), 11);
    assert_int_equal(spool_pread(&spool, bytes, sizeof(bytes), 6), 5);
    assert_memory_equal(bytes, "world", 5);
    spool_consume(&spool, 6);
    assert_int_equal(spool_pending(&spool), 5);
    assert_int_equal(spool_pread(&spool, bytes, sizeof(bytes), 11), 0);
    spool_fini(&spool);
    assert_int_equal(spool.fd, -1);
}

static void
test_pipes_do_not_block_and_do_not_leak(void **state)
{
    (void)state;
    int fds[2];
    char byte;
    assert_int_equal(fd_pipe(fds), 0);
    assert_int_equal(read(fds[0], &byte, 1), -1);
    assert_int_equal(errno, EAGAIN);
    assert_true(fcntl(fds[1], F_GETFD) & FD_CLOEXEC);
    assert_int_equal(fd_set_nonblocking(fds[0], false), 0);
    assert_false(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    assert_int_equal(fd_write_all(fds[1], "x", 1), 0);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    fd_close(&fds[0]);
    fd_close(&fds[1]);
    assert_int_equal(fd_set_cloexec(fds[0], true), -EBADF);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decimal_numbers),
        cmocka_unit_test(test_hex_digits),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_list_order),
        cmocka_unit_test(test_timeouts_expire_in_order),
        cmocka_unit_test(test_temporary_files_have_no_name),
        cmocka_unit_test(test_the_numbers_of_standard_files_are_not_used),
        cmocka_unit_test(test_spool_is_a_queue),
        cmocka_unit_test(test_pipes_do_not_block_and_do_not_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
