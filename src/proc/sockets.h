/* SPDX-License-Identifier: MIT */
/*
 * The arbiter's listeners: opened at the start, taken over from systemd or from the arbiter that
 * this one replaces, exchanged in a reload, and closed at the end. Arbiter only.
 */
#ifndef SAOLA_PROC_SOCKETS_H
#define SAOLA_PROC_SOCKETS_H

#include "base/macros.h"
#include "net/listener.h"

#include <stdbool.h>

struct arbiter;
struct config;

/* What the environment says about sockets to take over. */
struct inheritance {
    int *fds; /* owned */
    size_t count;
    bool systemd;
    bool *unlink;  /* owned; which files of unix sockets go with this server */
    uint32_t *ids; /* owned; listener.id of each; 0: none */
};

void inheritance_init(struct inheritance *inheritance, bool from_predecessor);
void inheritance_fini(struct inheritance *inheritance);

/* Tries again for a while if an address is in use. Negative errno; arbiter->error says why, or the
 * log does; -EINTR if a signal to stop came meanwhile. */
int sockets_open(struct arbiter *arbiter, const struct inheritance *inheritance) NODISCARD;

/* The listeners that `cfg` wants, keeping those that are there. One attempt; on failure all stays
 * as it was, and the log says why. 1 if anything changed, 0 if not. */
int sockets_change(struct arbiter *arbiter, const struct config *cfg) NODISCARD;

/* Closes them all; their files go as well, unless another server lives on them. */
void sockets_close(struct arbiter *arbiter);

/* "http://127.0.0.1:8000,unix:/run/saola.sock", to be released with free(). */
char *sockets_describe(const struct arbiter *arbiter) NODISCARD;

/* In the process that becomes the next arbiter: the listeners stay open over exec. */
void sockets_bequeath(const struct arbiter *arbiter);

/* listener.id of each, in the order of sockets_fd_list(); likewise. */
char *sockets_id_list(const struct arbiter *arbiter) NODISCARD;

/* The descriptors, separated by commas, of all listeners, or of those whose files are ours to
 * remove; to be released with free(). For the arbiter that replaces this one. */
char *sockets_fd_list(const struct arbiter *arbiter, bool only_owned) NODISCARD;

#endif
