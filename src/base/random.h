/* SPDX-License-Identifier: MIT */
/*
 * Chance, for jitter: nothing that anybody's security depends on. Any thread.
 */
#ifndef SAOLA_BASE_RANDOM_H
#define SAOLA_BASE_RANDOM_H

#include <stdint.h>

/* A number from 0 to `max`, each as likely as any other; 0 while the kernel has no entropy. */
int64_t random_up_to(int64_t max);

#endif
