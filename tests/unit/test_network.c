/* SPDX-License-Identifier: MIT */
#include "net/network.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

static void
test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        int family;
        unsigned bits;
    } CASES[] = {
        {"127.0.0.1", 0, AF_INET, 32},  {"10.0.0.0/8", 0, AF_INET, 8},
        {"0.0.0.0/0", 0, AF_INET, 0},   {"::1", 0, AF_INET6, 128},
        {"fe80::/10", 0, AF_INET6, 10}, {"10.0.0.1/8", -EINVAL, 0, 0}, /* bits beyond the prefix */
        {"10.0.0.0/33", -EINVAL, 0, 0}, {"10.0.0.0/", -EINVAL, 0, 0},
        {"10.0.0", -EINVAL, 0, 0},      {"", -EINVAL, 0, 0},
        {"localhost", -EINVAL, 0, 0},   {"::1/129", -EINVAL, 0, 0},
        {"1.2.3.4/8/8", -EINVAL, 0, 0},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct network network = {0};
        assert_int_equal(network_parse(span_str(CASES[i].text), &network), CASES[i].rc);
        assert_int_equal(network.family, CASES[i].family);
        assert_int_equal(network.prefix_bits, CASES[i].bits);
    }
}

static void
test_membership(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {"127.0.0.1", "10.128.0.0/9", "2001:db8::/33"};
    static const struct {
        const char *address;
        bool in;
    } CASES[] = {
        {"127.0.0.1", true},
        {"127.0.0.2", false},
        {"10.128.0.0", true},
        {"10.255.255.255", true},
        {"10.127.0.1", false},
        {"2001:db8:7fff::1", true},
        {"2001:db8:8000::", false},
        {"::1", false},
        {"", false},
        {"nonsense", false},
        {"::ffff:127.0.0.1", false},
    };
    struct network_list list;
    assert_int_equal(network_list_init(&list, TEXTS, 3), 0);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        assert_int_equal(network_list_has(&list, span_str(CASES[i].address)), CASES[i].in);
    }
    network_list_fini(&list);
}

static void
test_star_is_everybody(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {"10.0.0.1", "*"};
    static const char *const WRONG[] = {"10.0.0.1", "10.0.0.1/8"};
    struct network_list list;
    assert_int_equal(network_list_init(&list, TEXTS, 2), 0);
    assert_true(network_list_has(&list, SPAN("192.168.0.1")));
    assert_true(network_list_has(&list, SPAN("")));
    network_list_fini(&list);
    assert_int_equal(network_list_init(&list, WRONG, 2), -EINVAL);
    assert_int_equal(list.n, 0);
    assert_int_equal(network_list_init(&list, NULL, 0), 0);
    assert_false(network_list_has(&list, SPAN("10.0.0.1")));
    network_list_fini(&list);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_membership),
        cmocka_unit_test(test_star_is_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
