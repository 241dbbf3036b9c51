/* SPDX-License-Identifier: MIT */
/*
 * The file with the arbiter's process id. It appears complete (a temporary file gets its name) and
 * goes away with the process that made it: a file that holds another pid is left alone.
 *
 * Errors: negative errno, with a text for the user in *ret_error, to be released with free().
 */
#ifndef SAOLA_PROC_PIDFILE_H
#define SAOLA_PROC_PIDFILE_H

#include "base/macros.h"

#include <sys/types.h>

struct pidfile {
    char *path; /* owned, absolute; NULL: there is no file */
};

/* -EEXIST: a process with the pid in the file is alive; -EBUSY: one is about to put its own there.
 * Of several that find the same stale file one succeeds. */
int pidfile_create(struct pidfile *pidfile, const char *path, char **ret_error) NODISCARD;

/* Removes the file and creates it at the new path; NULL: nowhere. */
int pidfile_move(struct pidfile *pidfile, const char *path, char **ret_error) NODISCARD;

/* Removes the file if it still holds the pid of this process. */
void pidfile_remove(struct pidfile *pidfile);

/* Forgets the file without removing it: a forked child. */
void pidfile_fini(struct pidfile *pidfile);

/* The live process that the file names, or 0. */
pid_t pidfile_owner(const char *path);

#endif
