/* SPDX-License-Identifier: MIT */
#include "proc/title.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TEXT_MAX = 8192 };

/* The command line of this process as ps reads it. */
static size_t
read_command_line(char out[TEXT_MAX])
{
    FILE *file = fopen("/proc/self/cmdline", "r");
    assert_non_null(file);
    size_t n = fread(out, 1, TEXT_MAX - 1, file);
    fclose(file);
    while (n > 0 && out[n - 1] == '\0') {
        n--;
    }
    out[n] = '\0';
    return n;
}

static void
check(const char *title)
{
    char text[TEXT_MAX];
    title_set("%s", title);
    assert_int_equal(read_command_line(text), strlen(title));
    assert_string_equal(text, title);
}

static void
test_titles_of_every_length(void **state)
{
    (void)state;
    char title[300];

    setenv("SAOLA_TEST", "kept", 1);
    for (size_t n = 1; n < sizeof(title); n++) {
        memset(title, 'x', n);
        title[n] = '\0';
        check(title);
    }
    check("saola: worker [app]");
    /* The title went over the environment's place, not over the environment. */
    assert_non_null(getenv("PATH"));
    assert_non_null(strchr(getenv("PATH"), '/'));
    assert_string_equal(getenv("SAOLA_TEST"), "kept");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_titles_of_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
