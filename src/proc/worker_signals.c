/* SPDX-License-Identifier: MIT */
#include "proc/worker_signals.h"

#include "base/macros.h"
#include "base/panic.h"
#include "proc/signals.h"
#include "proc/slot.h"
#include "proc/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/* What may end a worker. */
static const int watched[] = {
    SIGTERM, SIGINT, SIGQUIT, SIGABRT, SIGHUP, SIGUSR2, SIGSEGV, SIGBUS, SIGFPE, SIGILL,
};

static struct {
    const struct worker_start *start;
    pid_t pid; /* of the worker: a child that the application has forked is none */
    struct sigaction previous[ARRAY_LEN(watched)];
    struct sigaction write_stacks; /* faulthandler's */
    volatile sig_atomic_t usr1;    /* came before there was a handler for it */
} self;

static bool
is_fault(int number)
{
    return number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL;
}

/* Whether si_pid and si_uid mean something. */
static bool
has_sender(const siginfo_t *info)
{
    return info->si_code == SI_USER || info->si_code == SI_QUEUE || info->si_code == SI_TKILL;
}

/* Who is told by the arbiter to go gets KILL before long if it does not. The main thread may be in
 * C code that keeps Python from calling a handler; but the standby sees this. */
static void
heed(const siginfo_t *info)
{
    bool ends = info->si_signo == SIGTERM || info->si_signo == SIGQUIT || info->si_signo == SIGABRT;
    if (ends && has_sender(info) && info->si_pid == self.start->arbiter_pid) {
        slot_set_ending(self.start->slot, info->si_signo == SIGTERM ? SLOT_FINISHES : SLOT_ENDS);
    }
}

static void
note(const siginfo_t *info)
{
    struct slot_signal *slot = &self.start->slot->signal;
    bool sent = has_sender(info);
    uintptr_t address = !sent && is_fault(info->si_signo) ? (uintptr_t)info->si_addr : 0;

    atomic_store_explicit(&slot->number, info->si_signo, memory_order_relaxed);
    atomic_store_explicit(&slot->code, info->si_code, memory_order_relaxed);
    atomic_store_explicit(&slot->pid, sent ? info->si_pid : 0, memory_order_relaxed);
    atomic_store_explicit(&slot->uid, sent ? info->si_uid : 0, memory_order_relaxed);
    atomic_store_explicit(&slot->address, address, memory_order_relaxed);
    atomic_fetch_add_explicit(&slot->count, 1, memory_order_release);
    worker_start_notify(self.start);
}

static void
pass_on(const struct sigaction *to, int number, siginfo_t *info, void *context)
{
    if (to->sa_flags & SA_SIGINFO) {
        to->sa_sigaction(number, info, context);
    } else if (to->sa_handler == SIG_DFL) {
        /* It comes as soon as this handler, which blocks it, has returned. */
        signal(number, SIG_DFL);
        raise(number);
    } else if (to->sa_handler != SIG_IGN) {
        to->sa_handler(number);
    }
}

static void
on_signal(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    size_t i = 0;
    while (watched[i] != number) {
        i++;
    }
    struct sigaction previous = self.previous[i];
    if (getpid() == self.pid) {
        heed(info);
        note(info);
        if (number == SIGABRT && info->si_code == SI_TKILL && info->si_pid == self.pid) {
            /* abort(), by a panic or by somebody's library. The process dies when Python's handler
             * has returned. */
            raise(signals_stacks());
        }
    }
    errno = saved;
    pass_on(&previous, number, info, context);
}

/* HUP and USR2 end a worker unless the application has a use for them. Faults have nothing to be
 * told until faulthandler has its handlers; it must not find ours below its own. */
static bool
is_of_interest(int number, const struct sigaction *action)
{
    if (action->sa_flags & SA_SIGINFO) {
        return action->sa_sigaction != on_signal;
    }
    if (action->sa_handler == SIG_IGN) {
        return false;
    }
    bool by_default = action->sa_handler == SIG_DFL;
    return by_default ? !is_fault(number) : number != SIGHUP && number != SIGUSR2;
}

void
worker_signals_watch(void)
{
    for (size_t i = 0; i < ARRAY_LEN(watched); i++) {
        struct sigaction action;
        sigaction(watched[i], NULL, &action);
        if (is_of_interest(watched[i], &action)) {
            self.previous[i] = action;
            action.sa_sigaction = on_signal;
            action.sa_flags |= SA_SIGINFO;
            sigaction(watched[i], &action, NULL);
        }
    }
}

/* The stacks have been written, or there is nobody to write them. */
static void
say_shown(const siginfo_t *info)
{
    struct slot *slot = self.start->slot;
    atomic_store_explicit(&slot->stacks_for, has_sender(info) ? info->si_pid : 0,
                          memory_order_relaxed);
    atomic_fetch_add_explicit(&slot->stacks_shown, 1, memory_order_release);
    worker_start_notify(self.start);
}

/* Before there is an interpreter; and when it is being taken down, because faulthandler then puts
 * the handler back that it has found. */
static void
on_stacks_alone(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    int saved = errno;
    if (getpid() == self.pid) {
        say_shown(info);
    }
    errno = saved;
}

static void
on_stacks(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    if (getpid() == self.pid) {
        pass_on(&self.write_stacks, number, info, context);
        say_shown(info);
    }
    errno = saved;
}

static void
install_for_stacks(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = {
        .sa_sigaction = handler,
        .sa_flags = SA_RESTART | SA_SIGINFO | SA_ONSTACK,
    };
    sigemptyset(&action.sa_mask);
    sigaction(signals_stacks(), &action, NULL);
}

static void
on_usr1_early(int number)
{
    (void)number;
    self.usr1 = 1;
}

void
worker_signals_begin(const struct worker_start *start)
{
    struct sigaction action = {.sa_handler = on_usr1_early, .sa_flags = SA_RESTART};
    self.start = start;
    self.pid = getpid();
    install_for_stacks(on_stacks_alone);
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
}

void
worker_signals_repeat(void)
{
    if (self.usr1) {
        self.usr1 = 0;
        raise(SIGUSR1);
    }
}

void
worker_signals_adopt_stacks(void)
{
    sigaction(signals_stacks(), NULL, &self.write_stacks);
    install_for_stacks(on_stacks);
}

void
worker_signals_forked(void)
{
    panic_set_record(NULL, 0, -1);
    /* faulthandler goes on writing to the number. */
    if (self.start && self.start->stacks_fd >= 0) {
        (void)!dup3(STDERR_FILENO, self.start->stacks_fd, O_CLOEXEC);
    }
}
