/* SPDX-License-Identifier: MIT */
#include "net/listener.h"

#include "base/fd.h"
#include "base/mem.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int
fail(int err, char **ret_error)
{
    *ret_error = mem_printf("[Errno %d] %s", err, strerror(err));
    return -err;
}

/* -ENOENT if the path is free, 0 if there is a socket, and nobody listens on it. */
static int
probe_unix_path(const struct sockaddr_un *un, char **ret_error)
{
    struct stat st;
    if (lstat(un->sun_path, &st) < 0) {
        return errno == ENOENT ? -ENOENT : fail(errno, ret_error);
    }
    if (!S_ISSOCK(st.st_mode)) {
        *ret_error = mem_printf("'%s' exists and is not a socket", un->sun_path);
        return -ENOTSOCK;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return fail(errno, ret_error);
    }
    int rc = connect(fd, (const struct sockaddr *)un, sizeof(*un));
    int err = rc < 0 ? errno : 0;
    close(fd);
    switch (err) {
    case ECONNREFUSED:
        return 0;
    case 0:
    case EAGAIN: /* its queue is full: somebody listens */
        *ret_error = mem_printf("[Errno %d] a server listens on this unix socket", EADDRINUSE);
        return -EADDRINUSE;
    default:
        return fail(err, ret_error);
    }
}

static int
bind_unix(struct listener *l, const struct sockaddr_un *un, socklen_t length,
          const struct listener_options *options, char **ret_error)
{
    int rc = probe_unix_path(un, ret_error);
    if (rc < 0 && rc != -ENOENT) {
        return rc;
    }
    if (rc == 0 && unlink(un->sun_path) < 0) {
        return fail(errno, ret_error);
    }
    /* The mode of a socket's file can only be set by the umask without a race. */
    mode_t umask_before = umask(options->umask);
    rc = bind(l->fd, (const struct sockaddr *)un, length);
    int err = errno;
    umask(umask_before);
    if (rc < 0) {
        return fail(err, ret_error);
    }
    struct stat st;
    if (lstat(un->sun_path, &st) < 0) {
        return fail(errno, ret_error);
    }
    l->path_dev = st.st_dev;
    l->path_ino = st.st_ino;
    if ((st.st_uid != options->uid || st.st_gid != options->gid) &&
        lchown(un->sun_path, options->uid, options->gid) < 0) {
        return fail(errno, ret_error);
    }
    return 0;
}

static int
set_option(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof(on)) < 0 ? -errno : 0;
}

static int
bind_tcp(struct listener *l, const struct sockaddr *sockaddr, socklen_t length, bool reuse_port,
         char **ret_error)
{
    int rc = set_option(l->fd, SOL_SOCKET, SO_REUSEADDR);
    if (rc == 0 && reuse_port) {
        rc = set_option(l->fd, SOL_SOCKET, SO_REUSEPORT);
    }
    if (rc == 0) {
        rc = set_option(l->fd, IPPROTO_TCP, TCP_NODELAY); /* accepted sockets inherit it */
    }
    if (rc == 0 && bind(l->fd, sockaddr, length) < 0) {
        rc = -errno;
    }
    return rc < 0 ? fail(-rc, ret_error) : 0;
}

/* Family and names, from the kernel. */
static int
learn_name(struct listener *l)
{
    struct sockaddr_storage storage = {0};
    socklen_t length = sizeof(storage);

    if (getsockname(l->fd, (struct sockaddr *)&storage, &length) < 0) {
        return -errno;
    }
    l->family = storage.ss_family;
    addr_format((const struct sockaddr *)&storage, length, l->name);
    const struct sockaddr_un *un = (const struct sockaddr_un *)&storage;
    if (l->family == AF_UNIX && un->sun_path[0] != '\0') {
        memcpy(l->path, un->sun_path, MIN_OF(sizeof(un->sun_path), sizeof(l->path)));
        l->path[sizeof(l->path) - 1] = '\0';
    }
    return 0;
}

/* What every listener needs once it is bound. */
static int
make_ready(struct listener *l, int backlog, char **ret_error)
{
    int rc = learn_name(l);
    if (rc == 0) {
        rc = fd_set_nonblocking(l->fd, true);
    }
    if (rc == 0) {
        rc = fd_set_cloexec(l->fd, true);
    }
    if (rc == 0) {
        rc = listen(l->fd, backlog) < 0 ? -errno : 0;
    }
    return rc < 0 ? fail(-rc, ret_error) : 0;
}

static int
open_at(struct listener *ret_listener, const struct sockaddr_storage *sockaddr, socklen_t length,
        const struct listener_options *options, char **ret_error)
{
    struct listener l = {.fd = -1, .addr = ret_listener->addr};

    l.fd = socket(sockaddr->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (l.fd < 0) {
        return fail(errno, ret_error);
    }
    int rc = sockaddr->ss_family == AF_UNIX
                 ? bind_unix(&l, (const struct sockaddr_un *)sockaddr, length, options, ret_error)
                 : bind_tcp(&l, (const struct sockaddr *)sockaddr, length, options->reuse_port,
                            ret_error);
    if (rc == 0) {
        rc = make_ready(&l, options->backlog, ret_error);
    }
    if (rc < 0) {
        listener_unlink(&l);
        listener_close(&l);
        return rc;
    }
    *ret_listener = l;
    return 0;
}

int
listener_open(struct listener *listener, const struct addr *addr,
              const struct listener_options *options, char **ret_error)
{
    struct sockaddr_storage sockaddr;
    socklen_t length = 0;

    if (addr->kind == ADDR_FD) {
        return listener_adopt(listener, addr->fd, options->backlog, false, ret_error);
    }
    int rc = addr_resolve(addr, &sockaddr, &length, ret_error);
    if (rc < 0) {
        return rc;
    }
    listener->addr = *addr;
    return open_at(listener, &sockaddr, length, options, ret_error);
}

int
listener_adopt(struct listener *listener, int fd, int backlog, bool unlink_later, char **ret_error)
{
    struct listener l = {.fd = fd, .addr = {.kind = ADDR_FD, .fd = fd}};
    int type = 0;
    socklen_t type_length = sizeof(type);
    struct stat st;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_length) < 0) {
        int err = errno;
        *ret_error = mem_printf("file descriptor %d: %s", fd, strerror(err));
        return -err;
    }
    if (type != SOCK_STREAM) {
        *ret_error = mem_printf("file descriptor %d is not a stream socket", fd);
        return -ESOCKTNOSUPPORT;
    }
    int rc = make_ready(&l, backlog, ret_error);
    if (rc < 0) {
        return rc;
    }
    if (unlink_later && l.path[0] != '\0' && lstat(l.path, &st) == 0) {
        l.path_dev = st.st_dev;
        l.path_ino = st.st_ino;
    }
    if (l.family != AF_UNIX) {
        (void)!set_option(fd, IPPROTO_TCP, TCP_NODELAY); /* only a matter of speed */
    }
    *listener = l;
    return 0;
}

void
listener_close(struct listener *listener)
{
    fd_close(&listener->fd);
}

void
listener_unlink(const struct listener *listener)
{
    struct stat st;
    if (listener->path_ino == 0) {
        return;
    }
    const char *path = listener->path[0] != '\0' ? listener->path : listener->addr.path;
    if (lstat(path, &st) == 0 && st.st_dev == listener->path_dev &&
        st.st_ino == listener->path_ino) {
        unlink(path);
    }
}
