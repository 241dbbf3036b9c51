/* SPDX-License-Identifier: MIT */
/*
 * A library for LD_PRELOAD that makes system calls of saola._core fail or come short. Calls of
 * Python's and of the application's are left alone.
 *
 * Which faults, and how often, says a file that the environment's SAOLA_FAULTS names; it is mapped,
 * so a test can change it while the server runs, and read how often each fault has happened.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { IOV_MAX_HERE = 16, PER_MILLE = 1000, SECONDS_PER_DAY = 24 * 60 * 60 };

static const struct {
    const char *call;
    int error;
} FAULTS[] = {
#define FAULT(call, name, error) {#call, (error)},
#include "faults.def"
#undef FAULT
};

enum { FAULTS_COUNT = sizeof(FAULTS) / sizeof(FAULTS[0]) };

/* The file. Everything but `count` is written by the test. */
struct control {
    atomic_uint spared_pid; /* the arbiter: nothing happens there */
    atomic_uint seed;
    struct {
        atomic_uint per_mille; /* of the calls */
        atomic_uint left;      /* how often it may happen yet */
        atomic_uint count;     /* how often it has */
    } faults[FAULTS_COUNT];
};

static struct control *control;
static uintptr_t core_begin;
static uintptr_t core_end;

__attribute__((constructor)) static void
map_control(void)
{
    const char *path = getenv("SAOLA_FAULTS");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) {
        return;
    }
    void *memory = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory != MAP_FAILED) {
        control = memory;
    }
    close(fd);
}

static int
note_core(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    if (strstr(info->dlpi_name, "/_core.") == NULL) {
        return 0;
    }
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X)) {
            core_begin = info->dlpi_addr + segment->p_vaddr;
            core_end = core_begin + segment->p_memsz;
        }
    }
    return 1;
}

static bool
is_core(const void *caller)
{
    if (core_end == 0) {
        dl_iterate_phdr(note_core, NULL);
    }
    return (uintptr_t)caller >= core_begin && (uintptr_t)caller < core_end;
}

static uint32_t
random_below(uint32_t limit)
{
    static _Thread_local uint64_t state;
    if (state == 0) {
        state = ((uint64_t)control->seed << 32) + (uint64_t)getpid() + 1;
    }
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16) % limit;
}

static bool
happens(unsigned fault)
{
    if (control->faults[fault].per_mille == 0 ||
        random_below(PER_MILLE) >= control->faults[fault].per_mille) {
        return false;
    }
    unsigned left = control->faults[fault].left;
    while (left > 0) {
        if (atomic_compare_exchange_weak(&control->faults[fault].left, &left, left - 1)) {
            control->faults[fault].count++;
            return true;
        }
    }
    return false;
}

/* False, with errno, if the call fails; else *n may have become less. */
static bool
passes(const char *call, const void *caller, size_t *n)
{
    if (control == NULL || !is_core(caller) || (unsigned)getpid() == control->spared_pid) {
        return true;
    }
    for (unsigned i = 0; i < FAULTS_COUNT; i++) {
        if (strcmp(FAULTS[i].call, call) != 0 || !happens(i)) {
            continue;
        }
        if (FAULTS[i].error != 0) {
            errno = FAULTS[i].error;
            return false;
        }
        /* Half of the time as little as can be. */
        if (*n > 1) {
            *n = random_below(2) ? 1 : 1 + random_below((uint32_t)*n);
        }
    }
    return true;
}

#define CALLER __builtin_return_address(0)

int
clock_gettime(clockid_t id, struct timespec *out)
{
    size_t n = 1;
    int rc = (int)syscall(SYS_clock_gettime, id, out);
    bool wall = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE;
    if (rc == 0 && wall && !passes("clock_gettime", CALLER, &n)) {
        out->tv_sec += SECONDS_PER_DAY;
    }
    return rc;
}

ssize_t
recv(int fd, void *out, size_t n, int flags)
{
    if (!passes("recv", CALLER, &n)) {
        return -1;
    }
    return syscall(SYS_recvfrom, fd, out, n, flags, NULL, NULL);
}

/* The first n bytes of what a message has. */
static size_t
cut(const struct msghdr *message, size_t n, struct iovec out[IOV_MAX_HERE])
{
    size_t count = 0;
    for (; count < message->msg_iovlen && count < IOV_MAX_HERE && n > 0; count++) {
        out[count] = message->msg_iov[count];
        if (out[count].iov_len > n) {
            out[count].iov_len = n;
        }
        n -= out[count].iov_len;
    }
    return count;
}

ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct iovec iov[IOV_MAX_HERE];
    struct msghdr shorter = *message;
    size_t n = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        n += message->msg_iov[i].iov_len;
    }
    if (!passes("sendmsg", CALLER, &n)) {
        return -1;
    }
    shorter.msg_iov = iov;
    shorter.msg_iovlen = cut(message, n, iov);
    return syscall(SYS_sendmsg, fd, &shorter, flags);
}

ssize_t
sendfile64(int out, int in, off64_t *offset, size_t n)
{
    if (!passes("sendfile", CALLER, &n)) {
        return -1;
    }
    return syscall(SYS_sendfile, out, in, offset, n);
}

int
accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    size_t n = 0;
    if (!passes("accept4", CALLER, &n)) {
        return -1;
    }
    return (int)syscall(SYS_accept4, fd, address, size, flags);
}

int
epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
    size_t n = (size_t)max;
    if (!passes("epoll_wait", CALLER, &n)) {
        return -1;
    }
    return (int)syscall(SYS_epoll_pwait, fd, events, (int)n, timeout_ms, NULL, 8);
}

int
epoll_ctl(int fd, int operation, int target, struct epoll_event *event)
{
    size_t n = 0;
    if (operation == EPOLL_CTL_ADD && !passes("epoll_ctl", CALLER, &n)) {
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, fd, operation, target, event);
}

int
open64(const char *path, int flags, ...)
{
    size_t n = 0;
    va_list args;
    va_start(args, flags);
    unsigned mode = va_arg(args, unsigned);
    va_end(args);
    if (!passes("open", CALLER, &n)) {
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int
mkostemp64(char *path, int flags)
{
    size_t n = 0;
    if (!passes("open", CALLER, &n)) {
        return -1;
    }
    int (*next)(char *, int) = (int (*)(char *, int))dlsym(RTLD_NEXT, "mkostemp64");
    return next(path, flags);
}

int
fcntl64(int fd, int command, ...)
{
    size_t n = 0;
    va_list args;
    va_start(args, command);
    long argument = va_arg(args, long);
    va_end(args);
    if (command == F_DUPFD_CLOEXEC && !passes("dup", CALLER, &n)) {
        return -1;
    }
    return (int)syscall(SYS_fcntl, fd, command, argument);
}

ssize_t
pread64(int fd, void *out, size_t n, off64_t offset)
{
    if (!passes("pread", CALLER, &n)) {
        return -1;
    }
    return syscall(SYS_pread64, fd, out, n, offset);
}

ssize_t
pwrite64(int fd, const void *bytes, size_t n, off64_t offset)
{
    if (!passes("pwrite", CALLER, &n)) {
        return -1;
    }
    return syscall(SYS_pwrite64, fd, bytes, n, offset);
}

ssize_t
write(int fd, const void *bytes, size_t n)
{
    if (!passes("write", CALLER, &n)) {
        return -1;
    }
    return syscall(SYS_write, fd, bytes, n);
}

/* Not under a sanitizer, which has an allocator of its own. */
#ifdef FAULTS_ALLOC

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);

void *
malloc(size_t size)
{
    size_t n = 0;
    return passes("alloc", CALLER, &n) ? __libc_malloc(size) : NULL;
}

void *
calloc(size_t count, size_t size)
{
    size_t n = 0;
    return passes("alloc", CALLER, &n) ? __libc_calloc(count, size) : NULL;
}

void *
realloc(void *memory, size_t size)
{
    size_t n = 0;
    return passes("alloc", CALLER, &n) ? __libc_realloc(memory, size) : NULL;
}

#endif
