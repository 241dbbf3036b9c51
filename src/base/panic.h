/* SPDX-License-Identifier: MIT */
/*
 * ASSERT and panic: for programming errors only, never for peer input, for system calls that may
 * fail or for what the application does. Always compiled in.
 *
 * A panic writes its message and the native stack into the record that panic_set_record() named (a
 * worker: the slot in shared memory, which the arbiter reports), to stderr, and calls abort().
 * Callable from any thread and from a signal handler: it neither allocates nor locks, once
 * panic_prepare() has been called.
 */
#ifndef SAOLA_BASE_PANIC_H
#define SAOLA_BASE_PANIC_H

#include "base/macros.h"

#include <stddef.h>

/* Names the memory that receives the NUL-terminated message of a panic, and the file that receives
 * the native stack (-1: none), a line per frame. The caller keeps ownership; both must stay until
 * the process ends. NULL: stderr only. */
void panic_set_record(char *record, size_t size, int stack_fd);

/* Loads what the native stack needs, which allocates: before there are threads and forks. */
void panic_prepare(void);

void panic(const char *file, int line, const char *format, ...) PRINTF_LIKE(3, 4) NORETURN COLD;

#define PANIC(...) panic(__FILE__, __LINE__, __VA_ARGS__)

#define ASSERT(condition) \
    (LIKELY(condition) ? (void)0 : panic(__FILE__, __LINE__, "assertion failed: %s", #condition))

#endif
