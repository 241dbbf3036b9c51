/* SPDX-License-Identifier: MIT */
#include "proc/pidfile.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIDFILE_MODE = 0644, PIDFILE_TEXT_MAX = 32 };

/* The number in the file, or 0 if there is none. */
static pid_t
read_pid(const char *path)
{
    char text[PIDFILE_TEXT_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return 0;
    }
    ssize_t n = read(fd, text, sizeof(text));
    close(fd);
    if (n <= 0) {
        return 0;
    }
    struct span digits = span_of(text, (size_t)n);
    while (digits.n > 0 && strchr(" \t\r\n", digits.p[digits.n - 1])) {
        digits.n--;
    }
    uint64_t pid = 0;
    return num_from_dec(digits, &pid) == 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

pid_t
pidfile_owner(const char *path)
{
    pid_t pid = read_pid(path);
    if (pid <= 0) {
        return 0;
    }
    /* EPERM: it lives, as another user. */
    return kill(pid, 0) == 0 || errno == EPERM ? pid : 0;
}

static char *
absolute(const char *path)
{
    char *cwd = path[0] == '/' ? NULL : getcwd(NULL, 0);
    char *result = cwd ? mem_printf("%s/%s", cwd, path) : mem_strdup(path);
    free(cwd);
    return result;
}

static int
check_directory(const char *path, char **ret_error)
{
    char *directory = mem_strdup(path);
    struct stat st;
    int rc = 0;

    *strrchr(directory, '/') = '\0';
    if (directory[0] != '\0' && (stat(directory, &st) < 0 || !S_ISDIR(st.st_mode))) {
        *ret_error = mem_printf("%s doesn't exist. Can't create pidfile.", directory);
        rc = -ENOENT;
    }
    free(directory);
    return rc;
}

static int
write_file(const char *path, char **ret_error)
{
    char *temporary = mem_printf("%s.XXXXXX", path);
    char text[PIDFILE_TEXT_MAX];
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    int fd = mkostemp(temporary, O_CLOEXEC);
    int rc = fd < 0 ? -errno : fd_write_all(fd, text, (size_t)n);

    if (rc == 0 && (fchmod(fd, PIDFILE_MODE) < 0 || rename(temporary, path) < 0)) {
        rc = -errno;
    }
    if (rc < 0) {
        *ret_error = mem_printf("Can't create pidfile '%s': %s", path, strerror(-rc));
        if (fd >= 0) {
            unlink(temporary);
        }
    }
    fd_close(&fd);
    free(temporary);
    return rc;
}

int
pidfile_create(struct pidfile *pidfile, const char *path, char **ret_error)
{
    char *full = absolute(path);
    pid_t owner = pidfile_owner(full);
    int rc = 0;

    if (owner != 0 && owner != getpid()) {
        *ret_error =
            mem_printf("Already running on PID %d (or pid file '%s' is stale)", (int)owner, path);
        rc = -EEXIST;
    }
    if (rc == 0) {
        rc = check_directory(full, ret_error);
    }
    if (rc == 0) {
        rc = write_file(full, ret_error);
    }
    if (rc < 0) {
        free(full);
        return rc;
    }
    free(pidfile->path);
    pidfile->path = full;
    return 0;
}

int
pidfile_move(struct pidfile *pidfile, const char *path, char **ret_error)
{
    struct pidfile moved = {NULL};
    char *full = path ? absolute(path) : NULL;

    if (full && pidfile->path && strcmp(full, pidfile->path) == 0) {
        free(full);
        return 0;
    }
    int rc = full ? pidfile_create(&moved, full, ret_error) : 0;
    free(full);
    if (rc < 0) {
        return rc;
    }
    pidfile_remove(pidfile);
    *pidfile = moved;
    return 0;
}

void
pidfile_remove(struct pidfile *pidfile)
{
    if (pidfile->path && read_pid(pidfile->path) == getpid()) {
        unlink(pidfile->path);
    }
    pidfile_fini(pidfile);
}

void
pidfile_fini(struct pidfile *pidfile)
{
    free(pidfile->path);
    pidfile->path = NULL;
}
