/* SPDX-License-Identifier: MIT */
#include "base/panic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* glibc's; musl has none. */
#if defined(__has_include)
#if __has_include(<execinfo.h>)
#include <execinfo.h>
#define HAVE_BACKTRACE 1
#endif
#endif

enum { FRAMES_MAX = 64 };

static struct {
    char *record;
    size_t size;
    int stack_fd;
} sink = {NULL, 0, -1};

#ifdef HAVE_BACKTRACE
void
panic_prepare(void)
{
    void *frame = NULL;
    (void)backtrace(&frame, 1);
}

static void
write_stack(int fd)
{
    static const char title[] = "Native stack (most recent call first):\n";
    void *frames[FRAMES_MAX];
    int n = backtrace(frames, FRAMES_MAX);
    (void)!write(fd, title, sizeof(title) - 1);
    backtrace_symbols_fd(frames, n, fd);
}
#else
void
panic_prepare(void)
{
}

static void
write_stack(int fd)
{
    (void)fd;
}
#endif

void
panic_set_record(char *record, size_t size, int stack_fd)
{
    sink.record = record;
    sink.size = record ? size : 0;
    sink.stack_fd = stack_fd;
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
    if (sink.stack_fd >= 0) {
        write_stack(sink.stack_fd);
    }
    abort();
}
