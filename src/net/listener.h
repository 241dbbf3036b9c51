/* SPDX-License-Identifier: MIT */
/*
 * Listening sockets: opened from an address, or adopted from whoever started the server (fd://N,
 * systemd, an arbiter that re-executes itself). They are non-blocking, and closed on exec: what the
 * application runs must not keep a port. An upgrade hands them on on purpose.
 *
 * The arbiter owns them; a worker has its own copy of the array with the same descriptors. The
 * file of a unix socket belongs to the listener that made it and is removed with it, but only as
 * long as it is still the same file: a server that has taken the path over keeps it.
 */
#ifndef SAOLA_NET_LISTENER_H
#define SAOLA_NET_LISTENER_H

#include "base/macros.h"
#include "net/addr.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct listener {
    int fd;           /* owned; -1: none */
    uint32_t id;      /* the arbiter's number of the address, kept while the socket is; 0: none */
    int family;       /* AF_INET, AF_INET6 or AF_UNIX */
    struct addr addr; /* as the settings wrote it; of adopted sockets: ADDR_FD */
    dev_t path_dev;   /* unix: the socket's file; path_ino 0: not ours to remove */
    ino_t path_ino;
    char path[ADDR_PATH_MAX + 1]; /* unix: as the kernel knows it */
    char name[ADDR_NAME_MAX];     /* "http://127.0.0.1:8000", "unix:PATH": what is really bound */
};

struct listener_options {
    int backlog;
    bool reuse_port; /* other servers may listen at the same address */
    mode_t umask;    /* of the unix socket's file, */
    uid_t uid;       /* ... its owner */
    gid_t gid;       /* ... and group */
};

/* One attempt. A stale unix socket is replaced; one on which a server listens is -EADDRINUSE, as a
 * port in use is. On failure *ret_error is the text for the user, to be released with free(). */
int listener_open(struct listener *listener, const struct addr *addr,
                  const struct listener_options *options, char **ret_error) NODISCARD;

/* Takes over a bound stream socket. `unlink_later`: remove its file when it is unlinked. Errors as
 * listener_open(); the descriptor stays the caller's then. */
int listener_adopt(struct listener *listener, int fd, int backlog, bool unlink_later,
                   char **ret_error) NODISCARD;

/* Closes the descriptor; nothing happens if there is none. */
void listener_close(struct listener *listener);

/* Removes the file of a unix socket if it is still the one that was made. */
void listener_unlink(const struct listener *listener);

#endif
