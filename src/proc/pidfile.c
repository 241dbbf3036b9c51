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
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIDFILE_MODE = 0644, PIDFILE_TEXT_MAX = 32, CLAIM_ATTEMPTS = 10 };

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

/* A complete file beside its final place. */
static int
write_temporary(char *path)
{
    char text[PIDFILE_TEXT_MAX];
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int rc = fd_write_all(fd, text, (size_t)n);
    if (rc == 0 && fchmod(fd, PIDFILE_MODE) < 0) {
        rc = -errno;
    }
    if (rc < 0) {
        unlink(path);
    }
    fd_close(&fd);
    return rc;
}

static bool
is_same_file(int fd, const char *path)
{
    struct stat held;
    struct stat named;
    return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino &&
           held.st_dev == named.st_dev;
}

/* Puts the new file where another one is, open as `old`. Whoever replaces a file has its lock, so
 * of two servers that find the same stale one only one does. -EAGAIN: it is another file by now. */
static int
replace(int old, const char *temporary, const char *path, pid_t *ret_owner)
{
    if (flock(old, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        return -EBUSY; /* any other error: there are no locks on this file system */
    }
    if (!is_same_file(old, path)) {
        return -EAGAIN;
    }
    pid_t owner = pidfile_owner(path);
    if (owner != 0 && owner != getpid()) {
        *ret_owner = owner;
        return -EEXIST;
    }
    return rename(temporary, path) < 0 ? -errno : 0;
}

/* Gives the temporary file its name, unless a living process has it: -EEXIST. */
static int
claim(const char *temporary, const char *path, pid_t *ret_owner)
{
    int rc = -EAGAIN;
    for (int i = 0; i < CLAIM_ATTEMPTS && rc == -EAGAIN; i++) {
        int old = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (old >= 0) {
            rc = replace(old, temporary, path, ret_owner);
            close(old);
        } else if (errno != ENOENT) {
            rc = -errno;
        } else {
            rc = link(temporary, path) < 0 ? -errno : 0;
            rc = rc == -EEXIST ? -EAGAIN : rc;
        }
        if (rc == -EPERM || rc == -EOPNOTSUPP) { /* a file system without hard links */
            rc = rename(temporary, path) < 0 ? -errno : 0;
        }
    }
    unlink(temporary); /* renamed already, or a second name */
    return rc;
}

static int
write_file(const char *path, const char *shown, char **ret_error)
{
    pid_t owner = 0;
    char *temporary = mem_printf("%s.XXXXXX", path);
    int rc = write_temporary(temporary);
    if (rc == 0) {
        rc = claim(temporary, path, &owner);
    }
    if (rc == -EEXIST) {
        *ret_error =
            mem_printf("Already running on PID %d (or pid file '%s' is stale)", (int)owner, shown);
    } else if (rc == -EBUSY || rc == -EAGAIN) {
        *ret_error = mem_printf("Another server takes the pid file '%s' at this moment", shown);
    } else if (rc < 0) {
        *ret_error = mem_printf("Can't create pidfile '%s': %s", path, strerror(-rc));
    }
    free(temporary);
    return rc;
}

int
pidfile_create(struct pidfile *pidfile, const char *path, char **ret_error)
{
    char *full = absolute(path);
    int rc = check_directory(full, ret_error);
    if (rc == 0) {
        rc = write_file(full, path, ret_error);
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
