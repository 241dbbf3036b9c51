/* SPDX-License-Identifier: MIT */
/* How many descriptors this process has, for tests that none is lost or left over. */
#ifndef SAOLA_TESTS_FDS_H
#define SAOLA_TESTS_FDS_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static inline int
open_fds(void)
{
    int n = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL) { // NOLINT(concurrency-mt-unsafe)
        n++;
    }
    closedir(directory);
    return n;
}

#endif
