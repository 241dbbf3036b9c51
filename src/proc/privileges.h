/* SPDX-License-Identifier: MIT */
/*
 * What a process may do: user and group of workers, and the number of descriptors. Main thread,
 * before there are others.
 */
#ifndef SAOLA_PROC_PRIVILEGES_H
#define SAOLA_PROC_PRIVILEGES_H

#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Becomes that user and group for good; what is already so is left alone. `initgroups`: with the
 * supplementary groups of the user, otherwise those of this process stay. On failure, a negative
 * errno, *ret_error is the text for the user, to be released with free(). */
int privileges_drop(uid_t uid, gid_t gid, bool initgroups, char **ret_error) NODISCARD;

/* Raises the limit of open files to `wanted`, for this process and its children. Returns the limit
 * there is now, which is less if the hard limit is, or negative errno. */
int64_t privileges_raise_open_files(uint64_t wanted) NODISCARD;

#endif
