/* SPDX-License-Identifier: MIT */
#include "base/panic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    char *record;
    size_t size;
} sink;

void
panic_set_record(char *record, size_t size)
{
    sink.record = record;
    sink.size = record ? size : 0;
}

void
panic(const char *file, int line, const char *format, ...)
{
    char message[512];
    int used = snprintf(message, sizeof(message), "panic at %s:%d: ", file, line);
    size_t prefix = MIN_OF((size_t)MAX_OF(used, 0), sizeof(message) - 1);
    va_list args;
    va_start(args, format);
    vsnprintf(message + prefix, sizeof(message) - prefix, format, args);
    va_end(args);
    size_t length = strlen(message);
    if (sink.size > 0) {
        size_t copied = MIN_OF(length, sink.size - 1);
        memcpy(sink.record, message, copied);
        sink.record[copied] = '\0';
    }
    message[length] = '\n';
    /* Nothing can be done about a stderr that does not take it. */
    ssize_t written = write(STDERR_FILENO, message, length + 1);
    (void)written;
    abort();
}
