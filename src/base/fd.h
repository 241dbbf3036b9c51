/* SPDX-License-Identifier: MIT */
/*
 * File descriptors: flags, complete writes, temporary files. Functions return 0 or more, or a
 * negative errno. Callable from any thread.
 */
#ifndef SAOLA_BASE_FD_H
#define SAOLA_BASE_FD_H

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int fd_set_nonblocking(int fd, bool on) NODISCARD;
int fd_set_cloexec(int fd, bool on) NODISCARD;

/* Closes *fd unless it is -1, and makes it -1. */
void fd_close(int *fd);

/* The numbers 0 to 2 belong to standard input, output and error, open or not: what is written there
 * must never reach anybody else. fd_dup() makes a close-on-exec duplicate above them (-1 with
 * errno); fd_above_stdio() gives a descriptor that has such a number another one (likewise; `fd` is
 * closed in any case); fd_open_stdio() opens /dev/null on those that are closed. */
int fd_dup(int fd) NODISCARD;
int fd_above_stdio(int fd) NODISCARD;
int fd_open_stdio(void) NODISCARD;

/* Writes all of it to a blocking file or pipe, EINTR resumed. */
int fd_write_all(int fd, const void *bytes, size_t n) NODISCARD;
int fd_pwrite_all(int fd, const void *bytes, size_t n, int64_t offset) NODISCARD;

/* A nameless temporary file in `directory` (NULL: $TMPDIR, else /tmp), close-on-exec, read and
 * write; it is gone when it is closed. */
int fd_tmpfile(const char *directory) NODISCARD;

/* The same in memory, or in $TMPDIR where there is no such thing: an old kernel, or a sandbox. The
 * name is what /proc shows. */
int fd_memfile(const char *name) NODISCARD;

/* Both ends non-blocking and close-on-exec: fds[0] reads, fds[1] writes. */
int fd_pipe(int fds[2]) NODISCARD;

#endif
