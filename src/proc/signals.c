/* SPDX-License-Identifier: MIT */
#include "proc/signals.h"

#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

// clang-format off
#define HANDLED(X) \
    X(TERM, term) X(INT, int) X(QUIT, quit) X(HUP, hup) X(TTIN, ttin) X(TTOU, ttou) \
    X(USR1, usr1) X(USR2, usr2) X(WINCH, winch) X(CHLD, chld)

/* What a wait status may show besides: glibc has sigabbrev_np() only since 2.32. */
#define NAMED(X) \
    HANDLED(X) \
    X(ABRT, abrt) X(ALRM, alrm) X(BUS, bus) X(FPE, fpe) X(ILL, ill) X(KILL, kill) \
    X(PIPE, pipe) X(SEGV, segv) X(SYS, sys) X(TRAP, trap) X(XCPU, xcpu) X(XFSZ, xfsz)
// clang-format on

static const int handled[] = {
#define HANDLED_NUMBER(name, short_name) SIG##name,
    HANDLED(HANDLED_NUMBER)
#undef HANDLED_NUMBER
};

static int queue[2] = {-1, -1};
static struct sigaction previous[ARRAY_LEN(handled)];

static void
enqueue(int signal_number)
{
    int saved = errno;
    unsigned char byte = (unsigned char)signal_number;
    /* A full pipe holds tens of thousands of signals that nobody has taken: one more or less. */
    (void)!write(queue[1], &byte, 1);
    errno = saved;
}

int
signals_start(void)
{
    int rc = fd_pipe(queue);
    if (rc < 0) {
        return rc;
    }
    struct sigaction action = {.sa_handler = enqueue, .sa_flags = SA_RESTART};
    /* No handler within a handler: of two signals that wait, the one that the kernel delivers first
     * would come second. */
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(handled); i++) {
        sigaction(handled[i], &action, &previous[i]);
    }
    return queue[0];
}

int
signals_next(void)
{
    unsigned char byte = 0;
    return read(queue[0], &byte, 1) == 1 ? byte : 0;
}

static void
close_queue(void)
{
    fd_close(&queue[0]);
    fd_close(&queue[1]);
}

void
signals_stop(void)
{
    if (queue[0] < 0) {
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(handled); i++) {
        sigaction(handled[i], &previous[i], NULL);
    }
    close_queue();
}

void
signals_reset(const sigset_t *mask)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(handled); i++) {
        sigaction(handled[i], &action, NULL);
    }
    close_queue();
    signals_unblock(mask);
}

void
signals_block(sigset_t *ret_mask)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, ret_mask);
}

void
signals_unblock(const sigset_t *mask)
{
    sigprocmask(SIG_SETMASK, mask, NULL);
}

int
signals_deadline(void)
{
    /* Beside those that systemd, container runtimes and debuggers use. */
    return SIGRTMIN + 8;
}

const char *
signals_name(int signal_number)
{
    switch (signal_number) {
#define NAME_CASE(name, short_name) \
    case SIG##name:                 \
        return "SIG" #name;
        NAMED(NAME_CASE)
#undef NAME_CASE
    default:
        return "an unnamed signal";
    }
}

const char *
signals_short_name(int signal_number)
{
    switch (signal_number) {
#define SHORT_NAME_CASE(name, short_name) \
    case SIG##name:                       \
        return #short_name;
        NAMED(SHORT_NAME_CASE)
#undef SHORT_NAME_CASE
    default:
        return "unknown";
    }
}
