/* SPDX-License-Identifier: MIT */
#include "base/mem.h"

#include "base/panic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
checked(void *memory, size_t size)
{
    if (UNLIKELY(memory == NULL)) {
        PANIC("out of memory: %zu bytes", size);
    }
    return memory;
}

void *
mem_alloc(size_t size)
{
    return checked(malloc(MAX_OF(size, 1)), size);
}

void *
mem_zalloc(size_t size)
{
    return mem_array(1, size);
}

void *
mem_array(size_t count, size_t size)
{
    return checked(calloc(MAX_OF(count, 1), MAX_OF(size, 1)), size);
}

void *
mem_realloc(void *memory, size_t size)
{
    return checked(realloc(memory, MAX_OF(size, 1)), size);
}

void *
mem_dup(const void *source, size_t size)
{
    void *copy = mem_alloc(size);
    if (size > 0) {
        memcpy(copy, source, size);
    }
    return copy;
}

char *
mem_strdup(const char *source)
{
    return mem_dup(source, strlen(source) + 1);
}

char *
mem_printf(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    return checked(length < 0 ? NULL : text, 0);
}
