/* SPDX-License-Identifier: MIT */
#include "net/addr.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/span.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const char *
after_prefix(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static int
parse_unix(const char *path, struct addr *addr, char **ret_error)
{
    size_t n = strlen(path);
    if (n == 0 || n > ADDR_PATH_MAX) {
        *ret_error = mem_printf("'%s' is not a valid path of a unix socket: it must have 1 to %d "
                                "bytes.",
                                path, (int)ADDR_PATH_MAX);
        return -EINVAL;
    }
    addr->kind = ADDR_UNIX;
    memcpy(addr->path, path, n + 1);
    return 0;
}

static int
parse_fd(const char *text, struct addr *addr, char **ret_error)
{
    uint64_t fd = 0;
    if (num_from_dec(span_str(text), &fd) < 0 || fd > INT_MAX) {
        *ret_error = mem_printf("'%s' is not a valid file descriptor.", text);
        return -EINVAL;
    }
    addr->kind = ADDR_FD;
    addr->fd = (int)fd;
    return 0;
}

static int
parse_port(struct span text, struct addr *addr, char **ret_error)
{
    uint64_t port = 0;
    if (num_from_dec(text, &port) < 0 || port > UINT16_MAX) {
        *ret_error = mem_printf("'%.*s' is not a valid port number.", (int)text.n, text.p);
        return -EINVAL;
    }
    addr->port = (uint16_t)port;
    return 0;
}

static int
parse_host(struct span host, struct addr *addr, char **ret_error)
{
    if (host.n > ADDR_HOST_MAX) {
        *ret_error = mem_printf("'%.*s' is too long for a host name.", (int)host.n, host.p);
        return -EINVAL;
    }
    for (size_t i = 0; i < host.n; i++) {
        addr->host[i] = (char)ascii_lower((unsigned char)host.p[i]);
    }
    addr->host[host.n] = '\0';
    return 0;
}

/* HOST and PORT are what a colon separates; further colons end the port, as in Gunicorn. In
 * brackets, the host is what they enclose. */
static int
parse_tcp(const char *text, struct addr *addr, char **ret_error)
{
    const char *close = strchr(text, ']');
    struct span host = span_str(text);
    const char *port = NULL;

    addr->kind = ADDR_TCP;
    addr->port = ADDR_PORT_DEFAULT;
    if (strchr(text, '[') && close) {
        const char *open = strchr(text, '[');
        host = open < close ? span_of(open + 1, (size_t)(close - open - 1)) : host;
        port = close[1] == ':' ? close + 2 : NULL;
    } else if (strchr(text, ':')) {
        host.n = strcspn(text, ":");
        port = text + host.n + 1;
    } else if (text[0] == '\0') {
        host = SPAN("0.0.0.0");
    }
    int rc = port ? parse_port(span_of(port, strcspn(port, ":")), addr, ret_error) : 0;
    return rc < 0 ? rc : parse_host(host, addr, ret_error);
}

int
addr_parse(const char *text, struct addr *ret_addr, char **ret_error)
{
    struct addr addr = {.fd = -1};
    const char *rest = NULL;
    int rc = 0;

    if ((rest = after_prefix(text, "unix://")) || (rest = after_prefix(text, "unix:"))) {
        rc = parse_unix(rest, &addr, ret_error);
    } else if ((rest = after_prefix(text, "fd://"))) {
        rc = parse_fd(rest, &addr, ret_error);
    } else {
        rest = after_prefix(text, "tcp://");
        rc = parse_tcp(rest ? rest : text, &addr, ret_error);
    }
    if (rc == 0) {
        *ret_addr = addr;
    }
    return rc;
}

bool
addr_equal(const struct addr *a, const struct addr *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case ADDR_TCP:
        return a->port == b->port && strcmp(a->host, b->host) == 0;
    case ADDR_UNIX:
        return strcmp(a->path, b->path) == 0;
    case ADDR_FD:
        break;
    }
    return a->fd == b->fd;
}

char *
addr_repr(const struct addr *addr)
{
    switch (addr->kind) {
    case ADDR_TCP:
        return mem_printf("('%s', %u)", addr->host, addr->port);
    case ADDR_UNIX:
        return mem_strdup(addr->path);
    case ADDR_FD:
        break;
    }
    return mem_printf("%d", addr->fd);
}

static int
resolve_name(const struct addr *addr, struct sockaddr_in *out, char **ret_error)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(addr->host, NULL, &hints, &found);
    if (rc == EAI_SYSTEM) {
        int err = errno;
        *ret_error = mem_printf("[Errno %d] %s", err, strerror(err));
        return -err;
    }
    if (rc != 0) {
        *ret_error = mem_printf("[Errno %d] %s", rc, gai_strerror(rc));
        return rc == EAI_AGAIN ? -EAGAIN : -EADDRNOTAVAIL;
    }
    memcpy(out, found->ai_addr, sizeof(*out));
    freeaddrinfo(found);
    return 0;
}

static int
resolve_tcp(const struct addr *addr, struct sockaddr_storage *out, socklen_t *ret_length,
            char **ret_error)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    if (inet_pton(AF_INET6, addr->host, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(addr->port);
        *ret_length = sizeof(*in6);
        return 0;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    int rc = addr->host[0] == '\0' ? 0 : resolve_name(addr, in, ret_error);
    in->sin_family = AF_INET;
    in->sin_port = htons(addr->port);
    *ret_length = sizeof(*in);
    return rc;
}

int
addr_resolve(const struct addr *addr, struct sockaddr_storage *ret_sockaddr, socklen_t *ret_length,
             char **ret_error)
{
    struct sockaddr_storage storage = {0};

    if (addr->kind == ADDR_UNIX) {
        struct sockaddr_un *un = (struct sockaddr_un *)&storage;
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, addr->path, sizeof(addr->path));
        *ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(addr->path) + 1);
    } else {
        int rc = resolve_tcp(addr, &storage, ret_length, ret_error);
        if (rc < 0) {
            return rc;
        }
    }
    *ret_sockaddr = storage;
    return 0;
}

static void
format_unix(const struct sockaddr_un *un, socklen_t length, char out[ADDR_NAME_MAX])
{
    int n = (int)length - (int)offsetof(struct sockaddr_un, sun_path);
    if (n > 0 && un->sun_path[0] == '\0') { /* Linux: a name in the abstract space */
        snprintf(out, ADDR_NAME_MAX, "unix:@%.*s", n - 1, un->sun_path + 1);
    } else {
        snprintf(out, ADDR_NAME_MAX, "unix:%.*s", n > 0 ? n : 0, un->sun_path);
    }
}

void
addr_format(const struct sockaddr *sockaddr, socklen_t length, char out[ADDR_NAME_MAX])
{
    char host[INET6_ADDRSTRLEN] = "";

    if (sockaddr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)sockaddr;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(out, ADDR_NAME_MAX, "http://%s:%u", host, ntohs(in->sin_port));
    } else if (sockaddr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sockaddr;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(out, ADDR_NAME_MAX, "http://[%s]:%u", host, ntohs(in6->sin6_port));
    } else if (sockaddr->sa_family == AF_UNIX) {
        format_unix((const struct sockaddr_un *)sockaddr, length, out);
    } else {
        snprintf(out, ADDR_NAME_MAX, "family:%d", sockaddr->sa_family);
    }
}
