/* SPDX-License-Identifier: MIT */
/*
 * Compiler attributes and the few macros that every folder uses. Nothing here has control flow.
 */
#ifndef SAOLA_BASE_MACROS_H
#define SAOLA_BASE_MACROS_H

#include <stddef.h>

#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_argument) \
    __attribute__((format(printf, format_index, first_argument)))
#define NORETURN __attribute__((noreturn))
#define COLD __attribute__((cold))

#define LIKELY(expression) __builtin_expect(!!(expression), 1)
#define UNLIKELY(expression) __builtin_expect(!!(expression), 0)

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))
#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))
#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))

/* The struct that embeds `member` at `pointer`. */
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#define STRINGIFY_(x) #x
#define STRINGIFY(x) STRINGIFY_(x)

#endif
