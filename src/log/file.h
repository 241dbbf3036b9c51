/* SPDX-License-Identifier: MIT */
/*
 * Where a log goes: a file opened for append, or one of the standard streams. The file is opened by
 * its absolute path, so that a later chdir(2) does not move it, and can be opened anew after it was
 * renamed. A reopened file keeps its descriptor's number: whoever writes at that moment writes to
 * the old file or to the new one.
 *
 * The struct belongs to its owner's main thread.
 */
#ifndef SAOLA_LOG_FILE_H
#define SAOLA_LOG_FILE_H

#include "base/macros.h"

#include <stdbool.h>
#include <sys/types.h>

struct log_file {
    int fd;     /* owned if there is a path; -1: closed */
    char *path; /* absolute, owned; NULL: a standard stream */
};

/* An initializer: nothing open, or a standard stream. */
#define LOG_FILE(fd_number) ((struct log_file){.fd = (fd_number)})

/* `path` "-" is the standard stream `stream_fd`. What was open before is closed if this succeeds
 * and untouched (a negative errno) if not. */
int log_file_open(struct log_file *file, const char *path, int stream_fd) NODISCARD;

/* The old file stays open if the new one cannot be (a negative errno). 0 for a standard stream. */
int log_file_reopen(struct log_file *file) NODISCARD;

void log_file_close(struct log_file *file);

/* Gives the file to the user and group that will have to reopen it (-1: unchanged). Failure does
 * not matter: the path may be /dev/null. */
void log_file_chown(const struct log_file *file, uid_t uid, gid_t gid);

/* What Gunicorn says when it cannot open a log: "Error: 'PATH' isn't writable [PermissionError(13,
 * 'Permission denied')]". `error` is an errno, of either sign. The caller frees it. */
char *log_file_error(const char *path, int error) NODISCARD;

#endif
