/* SPDX-License-Identifier: MIT */
#include "base/random.h"

#include <sys/random.h>

int64_t
random_up_to(int64_t max)
{
    uint64_t random = 0;
    ssize_t got = getrandom(&random, sizeof(random), GRND_NONBLOCK);
    (void)got;
    return (int64_t)(random % ((uint64_t)max + 1));
}
