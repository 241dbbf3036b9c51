/* SPDX-License-Identifier: MIT */
/*
 * Lists of IP networks, for the settings that say whom to trust: "*", "127.0.0.1", "10.0.0.0/8",
 * "::1". The caller owns the list; reading needs no lock.
 */
#ifndef SAOLA_NET_NETWORK_H
#define SAOLA_NET_NETWORK_H

#include "base/macros.h"
#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct network {
    int family; /* AF_INET or AF_INET6 */
    unsigned prefix_bits;
    uint8_t address[16]; /* network byte order; 4 bytes of it for AF_INET */
};

struct network_list {
    struct network *items; /* owned */
    size_t n;
    bool all; /* "*" is in it */
};

/* -EINVAL: no address or network, or bits are set beyond the prefix. */
int network_parse(struct span text, struct network *ret_network) NODISCARD;

/* -EINVAL as network_parse(), and the list is empty. */
int network_list_init(struct network_list *list, const char *const *texts, size_t n) NODISCARD;
void network_list_fini(struct network_list *list);

/* `address` is text of an IP address; anything else is in no list but "*". */
bool network_list_has(const struct network_list *list, struct span address);

#endif
