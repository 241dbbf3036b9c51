/* SPDX-License-Identifier: MIT */
/*
 * The name under which ps and top show this process. Best effort: where the kernel does not tell
 * where the arguments are, nothing happens. Main thread, before there are others.
 */
#ifndef SAOLA_PROC_TITLE_H
#define SAOLA_PROC_TITLE_H

#include "base/macros.h"

void title_set(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
