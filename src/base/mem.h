/* SPDX-License-Identifier: MIT */
/*
 * The core's allocators. They panic when memory is exhausted, so callers need no check: every size
 * that an outsider controls has been compared with a limit before it gets here. Memory is released
 * with free(). Callable from any thread.
 */
#ifndef SAOLA_BASE_MEM_H
#define SAOLA_BASE_MEM_H

#include "base/macros.h"

#include <stddef.h>

void *mem_alloc(size_t size) NODISCARD;
void *mem_zalloc(size_t size) NODISCARD;
void *mem_array(size_t count, size_t size) NODISCARD; /* zeroed; overflow is checked */
void *mem_realloc(void *memory, size_t size) NODISCARD;
void *mem_dup(const void *source, size_t size) NODISCARD;
char *mem_strdup(const char *source) NODISCARD;
char *mem_printf(const char *format, ...) PRINTF_LIKE(1, 2) NODISCARD;

#endif
