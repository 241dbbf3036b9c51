/* SPDX-License-Identifier: MIT */
#include "net/network.h"

#include "base/mem.h"
#include "base/num.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static unsigned
address_bits(int family)
{
    return family == AF_INET ? 32 : 128;
}

static int
parse_address(struct span text, int *ret_family, uint8_t out[16])
{
    char copy[INET6_ADDRSTRLEN + 1];
    if (text.n == 0 || text.n >= sizeof(copy)) {
        return -EINVAL;
    }
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    int family = memchr(text.p, ':', text.n) ? AF_INET6 : AF_INET;
    memset(out, 0, 16);
    if (inet_pton(family, copy, out) != 1) {
        return -EINVAL;
    }
    *ret_family = family;
    return 0;
}

/* The first `bits` of both addresses are the same. */
static bool
same_prefix(const uint8_t a[16], const uint8_t b[16], unsigned bits)
{
    unsigned bytes = bits / 8;
    if (memcmp(a, b, bytes) != 0) {
        return false;
    }
    unsigned rest = bits % 8;
    uint8_t mask = (uint8_t)(0xff00U >> rest);
    return rest == 0 || ((a[bytes] ^ b[bytes]) & mask) == 0;
}

static bool
has_host_bits(const struct network *network)
{
    for (unsigned bit = network->prefix_bits; bit < address_bits(network->family); bit++) {
        if (network->address[bit / 8] & (0x80U >> (bit % 8))) {
            return true;
        }
    }
    return false;
}

int
network_parse(struct span text, struct network *ret_network)
{
    struct network network;
    const char *slash = text.n > 0 ? memchr(text.p, '/', text.n) : NULL;
    struct span address = slash ? span_of(text.p, (size_t)(slash - text.p)) : text;
    int rc = parse_address(address, &network.family, network.address);
    if (rc < 0) {
        return rc;
    }
    uint64_t bits = address_bits(network.family);
    if (slash) {
        rc = num_from_dec(span_of(slash + 1, text.n - address.n - 1), &bits);
        if (rc < 0 || bits > address_bits(network.family)) {
            return -EINVAL;
        }
    }
    network.prefix_bits = (unsigned)bits;
    if (has_host_bits(&network)) {
        return -EINVAL;
    }
    *ret_network = network;
    return 0;
}

int
network_list_init(struct network_list *list, const char *const *texts, size_t n)
{
    *list = (struct network_list){.items = mem_array(n, sizeof(*list->items))};
    for (size_t i = 0; i < n; i++) {
        if (strcmp(texts[i], "*") == 0) {
            list->all = true;
            continue;
        }
        int rc = network_parse(span_str(texts[i]), &list->items[list->n]);
        if (rc < 0) {
            network_list_fini(list);
            return rc;
        }
        list->n++;
    }
    return 0;
}

void
network_list_fini(struct network_list *list)
{
    free(list->items);
    *list = (struct network_list){0};
}

bool
network_list_has(const struct network_list *list, struct span text)
{
    if (list->all) {
        return true;
    }
    int family;
    uint8_t address[16];
    if (parse_address(text, &family, address) < 0) {
        return false;
    }
    for (size_t i = 0; i < list->n; i++) {
        const struct network *network = &list->items[i];
        if (network->family == family &&
            same_prefix(network->address, address, network->prefix_bits)) {
            return true;
        }
    }
    return false;
}
