/* SPDX-License-Identifier: MIT */
#include "log/file.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOG_FILE_MODE = 0666 }; /* less the umask */

static int
open_append(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, LOG_FILE_MODE);
    return fd < 0 ? -errno : fd;
}

/* Owned by the caller; NULL with errno if there is no current directory. */
static char *
absolute_path(const char *path)
{
    if (path[0] == '/') {
        return mem_strdup(path);
    }
    char *cwd = getcwd(NULL, 0);
    if (!cwd) {
        return NULL;
    }
    char *absolute = mem_printf("%s/%s", cwd, path);
    free(cwd);
    return absolute;
}

/* Makes `fd` another name of what `opened` is, in one step for whoever writes to it, and closes
 * `opened`. */
static int
replace(int fd, int opened)
{
    int rc = dup3(opened, fd, O_CLOEXEC) < 0 ? -errno : 0;
    fd_close(&opened);
    return rc;
}

int
log_file_open(struct log_file *file, const char *path, int stream_fd)
{
    if (strcmp(path, "-") == 0) {
        log_file_close(file);
        *file = LOG_FILE(stream_fd);
        return 0;
    }
    char *absolute = absolute_path(path);
    if (!absolute) {
        return -errno;
    }
    int fd = open_append(absolute);
    if (fd < 0) {
        free(absolute);
        return fd;
    }
    log_file_close(file);
    *file = (struct log_file){.fd = fd, .path = absolute};
    return 0;
}

int
log_file_reopen(struct log_file *file)
{
    if (!file->path) {
        return 0;
    }
    int fd = open_append(file->path);
    return fd < 0 ? fd : replace(file->fd, fd);
}

void
log_file_close(struct log_file *file)
{
    if (file->path) {
        fd_close(&file->fd);
        free(file->path);
    }
    *file = LOG_FILE(-1);
}

void
log_file_chown(const struct log_file *file, uid_t uid, gid_t gid)
{
    if (file->path && fchown(file->fd, uid, gid) < 0) {
        return; /* see the header */
    }
}

/* The subclass of OSError that Python raises for an errno (PEP 3151). */
static const char *
python_error_name(int error)
{
    switch (error) {
    case EACCES:
    case EPERM:
        return "PermissionError";
    case ENOENT:
        return "FileNotFoundError";
    case EISDIR:
        return "IsADirectoryError";
    case ENOTDIR:
        return "NotADirectoryError";
    default:
        return "OSError";
    }
}

char *
log_file_error(const char *path, int error)
{
    char text[128];
    error = abs(error);
    return mem_printf("Error: '%s' isn't writable [%s(%d, '%s')]", path, python_error_name(error),
                      error, strerror_r(error, text, sizeof(text)));
}
