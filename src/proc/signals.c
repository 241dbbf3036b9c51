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

/* Beside SIGRTMIN + 3 and its like, which systemd and container runtimes use. */
enum { STACKS_OFFSET = 7 };

struct entry {
    int number;
    struct signals_sender sender;
};

static int queue[2] = {-1, -1};
static pid_t owner; /* of the queue */
static struct sigaction previous[ARRAY_LEN(handled)];
static struct sigaction previous_stacks;
static struct signals_sender last_sender;

int
signals_stacks(void)
{
    return SIGRTMIN + STACKS_OFFSET;
}

/* In a process that a hook has forked: it has the handler and the pipe of the arbiter, but is none.
 * The signal comes again when the handler has returned. */
static void
behave_by_default(int signal_number)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
    (void)!kill(getpid(), signal_number);
}

static void
enqueue(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    if (getpid() != owner) {
        behave_by_default(signal_number);
        errno = saved;
        return;
    }
    bool queued = info->si_code == SI_QUEUE;
    bool sent = queued || info->si_code == SI_USER || info->si_code == SI_TKILL;
    struct entry entry = {
        .number = signal_number,
        .sender = {sent ? info->si_pid : 0, queued, queued ? info->si_value.sival_int : 0},
    };
    /* A full pipe holds thousands of signals that nobody has taken: one more or less. An entry goes
     * into a pipe in one piece or not at all. */
    (void)!write(queue[1], &entry, sizeof(entry));
    errno = saved;
}

int
signals_start(void)
{
    int rc = fd_pipe(queue);
    if (rc < 0) {
        return rc;
    }
    owner = getpid();
    struct sigaction action = {.sa_sigaction = enqueue, .sa_flags = SA_RESTART | SA_SIGINFO};
    /* No handler within a handler: of two signals that wait, the one that the kernel delivers first
     * would come second. */
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(handled); i++) {
        sigaction(handled[i], &action, &previous[i]);
    }
    sigaction(signals_stacks(), &action, &previous_stacks);
    return queue[0];
}

int
signals_next(void)
{
    struct entry entry = {0};
    if (read(queue[0], &entry, sizeof(entry)) != (ssize_t)sizeof(entry)) {
        return 0;
    }
    last_sender = entry.sender;
    return entry.number;
}

const struct signals_sender *
signals_sender(void)
{
    return &last_sender;
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
    sigaction(signals_stacks(), &previous_stacks, NULL);
    close_queue();
}

void
signals_reset(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(handled); i++) {
        sigaction(handled[i], &action, NULL);
    }
    close_queue();
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
        return signal_number == signals_stacks() ? "stacks" : "unknown";
    }
}
