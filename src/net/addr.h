/* SPDX-License-Identifier: MIT */
/*
 * Addresses to listen on, as settings write them: HOST, HOST:PORT, :PORT, [IPV6], [IPV6]:PORT, each
 * optionally after tcp://, unix:PATH, unix://PATH and fd://N. Host names are resolved when a socket
 * is opened, not when they are parsed.
 *
 * Pure functions but for addr_resolve(), which asks the resolver. Texts that a function returns are
 * the caller's, to be released with free().
 */
#ifndef SAOLA_NET_ADDR_H
#define SAOLA_NET_ADDR_H

#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
    ADDR_PORT_DEFAULT = 8000,
    ADDR_HOST_MAX = 255,
    ADDR_PATH_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1,
    ADDR_NAME_MAX = 160, /* "http://[IPv6]:port" or "unix:" and a path */
};

enum addr_kind { ADDR_TCP, ADDR_UNIX, ADDR_FD };

struct addr {
    enum addr_kind kind;
    uint16_t port;                /* TCP */
    int fd;                       /* FD */
    char host[ADDR_HOST_MAX + 1]; /* TCP: lower case, no brackets; empty for any IPv4 address */
    char path[ADDR_PATH_MAX + 1]; /* UNIX */
};

/* -EINVAL: *ret_error says what is wrong with the text, in Gunicorn's words where it has them. */
int addr_parse(const char *text, struct addr *ret_addr, char **ret_error) NODISCARD;

bool addr_equal(const struct addr *a, const struct addr *b);

/* As log lines about failed binds show it: ('127.0.0.1', 8000), a path, or a number. */
char *addr_repr(const struct addr *addr) NODISCARD;

/* The socket address of a TCP or UNIX address: a literal IPv6 address gives AF_INET6, everything
 * else is looked up among IPv4 addresses. -EADDRNOTAVAIL if the name has none, another negative
 * errno if the lookup failed; *ret_error is the text for the user. */
int addr_resolve(const struct addr *addr, struct sockaddr_storage *ret_sockaddr,
                 socklen_t *ret_length, char **ret_error) NODISCARD;

/* As the server announces it: http://127.0.0.1:8000, http://[::1]:8000, unix:PATH. */
void addr_format(const struct sockaddr *sockaddr, socklen_t length, char out[ADDR_NAME_MAX]);

#endif
