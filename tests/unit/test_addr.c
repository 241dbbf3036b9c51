/* SPDX-License-Identifier: MIT */
#include "net/addr.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"

static const struct {
    const char *text;
    const char *host;
    unsigned port;
} tcp_forms[] = {
    {"127.0.0.1:8080", "127.0.0.1", 8080},
    {"127.0.0.1", "127.0.0.1", 8000},
    {"Localhost:80", "localhost", 80},
    {":9000", "", 9000},
    {"", "0.0.0.0", 8000},
    {"tcp://", "0.0.0.0", 8000},
    {"tcp://example.org:1", "example.org", 1},
    {"[::1]", "::1", 8000},
    {"[::1]:0", "::1", 0},
    {"[FE80::1]:65535", "fe80::1", 65535},
    {"tcp://[::1]:81", "::1", 81},
    {"a:80:90", "a", 80},
    {"/run/saola.sock", "/run/saola.sock", 8000},
    {"@name", "@name", 8000},
};

static void
test_tcp_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tcp_forms); i++) {
        struct addr addr;
        char *error = NULL;
        assert_int_equal(addr_parse(tcp_forms[i].text, &addr, &error), 0);
        assert_int_equal(addr.kind, ADDR_TCP);
        assert_string_equal(addr.host, tcp_forms[i].host);
        assert_int_equal(addr.port, tcp_forms[i].port);
    }
}

static const struct {
    const char *text;
    const char *error;
} bad_forms[] = {
    {"::1", "'' is not a valid port number."},
    {"127.0.0.1:", "'' is not a valid port number."},
    {"host:http", "'http' is not a valid port number."},
    {"http://127.0.0.1", "'//127.0.0.1' is not a valid port number."},
    {"host:65536", "'65536' is not a valid port number."},
    {"host:-1", "'-1' is not a valid port number."},
    {"[::1]:x", "'x' is not a valid port number."},
    {"fd://", "'' is not a valid file descriptor."},
    {"fd://three", "'three' is not a valid file descriptor."},
    {"unix:", "'' is not a valid path of a unix socket: it must have 1 to 107 bytes."},
};

static void
test_bad_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_forms); i++) {
        struct addr addr;
        char *error = NULL;
        assert_int_equal(addr_parse(bad_forms[i].text, &addr, &error), -EINVAL);
        assert_string_equal(error, bad_forms[i].error);
        free(error);
    }
}

static void
test_unix_and_fd(void **state)
{
    (void)state;
    struct addr addr;
    char *error = NULL;

    assert_int_equal(addr_parse("unix:/run/a.sock", &addr, &error), 0);
    assert_int_equal(addr.kind, ADDR_UNIX);
    assert_string_equal(addr.path, "/run/a.sock");
    assert_int_equal(addr_parse("unix:///run/a.sock", &addr, &error), 0);
    assert_string_equal(addr.path, "/run/a.sock");
    assert_int_equal(addr_parse("unix:relative", &addr, &error), 0);
    assert_string_equal(addr.path, "relative");
    assert_int_equal(addr_parse("fd://3", &addr, &error), 0);
    assert_int_equal(addr.kind, ADDR_FD);
    assert_int_equal(addr.fd, 3);
}

static void
test_long_path_is_refused(void **state)
{
    (void)state;
    char text[ADDR_PATH_MAX + 8] = "unix:";
    struct addr addr;
    char *error = NULL;

    memset(text + 5, 'p', ADDR_PATH_MAX);
    text[5 + ADDR_PATH_MAX] = '\0';
    assert_int_equal(addr_parse(text, &addr, &error), 0);
    text[5 + ADDR_PATH_MAX] = 'p';
    text[6 + ADDR_PATH_MAX] = '\0';
    assert_int_equal(addr_parse(text, &addr, &error), -EINVAL);
    free(error);
}

static void
assert_name(const char *text, const char *repr, const char *name)
{
    struct addr addr;
    struct sockaddr_storage sockaddr;
    socklen_t length = 0;
    char *error = NULL;
    char out[ADDR_NAME_MAX];

    assert_int_equal(addr_parse(text, &addr, &error), 0);
    char *shown = addr_repr(&addr);
    assert_string_equal(shown, repr);
    free(shown);
    assert_int_equal(addr_resolve(&addr, &sockaddr, &length, &error), 0);
    addr_format((struct sockaddr *)&sockaddr, length, out);
    assert_string_equal(out, name);
}

static void
test_names(void **state)
{
    (void)state;
    assert_name("127.0.0.1:8000", "('127.0.0.1', 8000)", "http://127.0.0.1:8000");
    assert_name(":8000", "('', 8000)", "http://0.0.0.0:8000");
    assert_name("[::1]:8000", "('::1', 8000)", "http://[::1]:8000");
    assert_name("unix:/run/a.sock", "/run/a.sock", "unix:/run/a.sock");
}

static void
test_equal(void **state)
{
    (void)state;
    const char *texts[] = {"a:80", "b:80", "a:81", "unix:a", "unix:b", "fd://3", "fd://4"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        for (size_t j = 0; j < ARRAY_LEN(texts); j++) {
            struct addr a;
            struct addr b;
            char *error = NULL;
            assert_int_equal(addr_parse(texts[i], &a, &error), 0);
            assert_int_equal(addr_parse(texts[j], &b, &error), 0);
            assert_int_equal(addr_equal(&a, &b), i == j);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp_forms),   cmocka_unit_test(test_bad_forms),
        cmocka_unit_test(test_unix_and_fd), cmocka_unit_test(test_long_path_is_refused),
        cmocka_unit_test(test_names),       cmocka_unit_test(test_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
