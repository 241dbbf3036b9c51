/* SPDX-License-Identifier: MIT */
/*
 * Targets: what urllib.parse of Python makes of the same texts is written out here.
 */
#include "http/uri.h"

#include "base/macros.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
// cmocka.h needs those above
#include <cmocka.h>

static void
assert_span(struct span s, const char *expected)
{
    assert_int_equal(s.n, strlen(expected));
    assert_memory_equal(s.p, expected, s.n);
}

static void
test_split(void **state)
{
    static const struct {
        const char *target, *scheme, *authority, *path, *query, *fragment;
    } cases[] = {
        {"/", "", "", "/", "", ""},
        {"/a/b?c=d#e", "", "", "/a/b", "c=d", "e"},
        {"/a#b?c", "", "", "/a", "", "b?c"},
        {"/a?b?c", "", "", "/a", "b?c", ""},
        {"/?", "", "", "/", "", ""},
        {"//a/b", "", "", "//a/b", "", ""},
        {"///a", "", "", "///a", "", ""},
        {"/a:b", "", "", "/a:b", "", ""},
        {"http://h:1/p?q#f", "http", "h:1", "/p", "q", "f"},
        {"http://h", "http", "h", "", "", ""},
        {"http://h?q", "http", "h", "", "q", ""},
        {"http://h#f?x", "http", "h", "", "", "f?x"},
        {"http:///p", "http", "", "/p", "", ""},
        {"http://[::1]:8000/", "http", "[::1]:8000", "/", "", ""},
        {"a+b-c.1://h/", "a+b-c.1", "h", "/", "", ""},
        {"h:80", "h", "", "80", "", ""},
        {"example.com:443", "example.com", "", "443", "", ""},
        {"127.0.0.1:80", "", "", "127.0.0.1:80", "", ""},
        {"[::1]:80", "", "", "[::1]:80", "", ""},
        {"1http://h/", "", "", "1http://h/", "", ""},
        {"a/b://c", "", "", "a/b://c", "", ""},
        {"*", "", "", "*", "", ""},
        {":80", "", "", ":80", "", ""},
        {"?a", "", "", "", "a", ""},
    };
    struct uri_parts parts;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(uri_split(span_str(cases[i].target), &parts), 0);
        assert_span(parts.scheme, cases[i].scheme);
        assert_span(parts.authority, cases[i].authority);
        assert_span(parts.path, cases[i].path);
        assert_span(parts.query, cases[i].query);
        assert_span(parts.fragment, cases[i].fragment);
    }
}

static void
test_split_refuses(void **state)
{
    struct uri_parts parts = {.path = SPAN("untouched")};

    (void)state;
    assert_int_equal(uri_split(SPAN("http://[::1/"), &parts), -EINVAL);
    assert_int_equal(uri_split(SPAN("http://::1]/"), &parts), -EINVAL);
    assert_span(parts.path, "untouched");
}

static void
test_unquote(void **state)
{
    static const struct {
        struct span text, expected;
    } cases[] = {
        {SPAN(""), SPAN("")},
        {SPAN("/plain"), SPAN("/plain")},
        {SPAN("%41%4a%4A"), SPAN("AJJ")},
        {SPAN("/a%20b+c"), SPAN("/a b+c")},
        {SPAN("%00%0d%0a"), SPAN("\0\r\n")},
        {SPAN("%c3%A9\xc3\xa9"), SPAN("\xc3\xa9\xc3\xa9")},
        {SPAN("%"), SPAN("%")},
        {SPAN("%4"), SPAN("%4")},
        {SPAN("%zz%4g%g4"), SPAN("%zz%4g%g4")},
        {SPAN("%%41"), SPAN("%A")},
        {SPAN("%2541"), SPAN("%41")},
        {SPAN("a%2"), SPAN("a%2")},
    };
    char out[32];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t n = uri_unquote(cases[i].text, out);
        assert_true(span_eq(span_of(out, n), cases[i].expected));
        memcpy(out, cases[i].text.p, cases[i].text.n);
        n = uri_unquote(span_of(out, cases[i].text.n), out);
        assert_true(span_eq(span_of(out, n), cases[i].expected));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_split_refuses),
        cmocka_unit_test(test_unquote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
