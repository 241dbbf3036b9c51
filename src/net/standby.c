/* SPDX-License-Identifier: MIT */
#include "net/standby.h"

#include "base/fd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    TICK_MS = 4,     /* a visit longer than one to two ticks is taken over */
    IDLE_TICKS = 50, /* without a visit: sleep until the next one */
    WAIT_MAX_MS = 1000,
};

static bool
in_app(uint64_t visits)
{
    return (visits & 1) != 0;
}

static bool
is_stopping(struct standby *standby)
{
    return atomic_load_explicit(&standby->stopping, memory_order_relaxed);
}

static struct timespec
deadline_in_ms(int ms)
{
    struct timespec when;
    clock_gettime(CLOCK_MONOTONIC, &when);
    int64_t ns = when.tv_nsec + ms * NS_PER_MS;
    when.tv_sec += ns / NS_PER_SEC;
    when.tv_nsec = ns % NS_PER_SEC;
    return when;
}

/* Sleeps one tick. */
static void
tick(struct standby *standby)
{
    struct timespec until = deadline_in_ms(TICK_MS);
    pthread_mutex_lock(&standby->lock);
    if (!is_stopping(standby)) {
        pthread_cond_timedwait(&standby->wakeup, &standby->lock, &until);
    }
    pthread_mutex_unlock(&standby->lock);
}

/* Sleeps until the main thread enters the application, unless it has since `visits` was read. */
static void
sleep_until_visit(struct standby *standby, uint64_t visits)
{
    pthread_mutex_lock(&standby->lock);
    atomic_store(&standby->asleep, true);
    while (!is_stopping(standby) && atomic_load(&standby->visits) == visits) {
        pthread_cond_wait(&standby->wakeup, &standby->lock);
    }
    atomic_store(&standby->asleep, false);
    pthread_mutex_unlock(&standby->lock);
}

void
standby_rouse(struct standby *standby)
{
    pthread_mutex_lock(&standby->lock);
    pthread_cond_signal(&standby->wakeup);
    pthread_mutex_unlock(&standby->lock);
}

/* Waits for events without taking them. */
static void
wait_for_events(struct standby *standby, int timeout_ms)
{
    struct pollfd fds[2] = {
        {.fd = standby->loop->reactor.fd, .events = POLLIN},
        {.fd = standby->recall_fd, .events = POLLIN},
    };
    if (poll(fds, 2, timeout_ms) > 0 && fds[1].revents != 0) {
        uint64_t count;
        ssize_t got = read(standby->recall_fd, &count, sizeof(count));
        (void)got;
    }
}

/* Drives the loop as long as the visit lasts that made `visits` odd. */
static void
drive(struct standby *standby, uint64_t visits)
{
    struct loop *loop = standby->loop;
    loop_lock(loop);
    if (atomic_load(&standby->visits) == visits) {
        standby->driving = true;
        if (standby->handover) {
            standby->handover(standby->context, true);
        }
    }
    while (standby->driving) {
        int timeout_ms = loop_timeout_ms(loop, WAIT_MAX_MS);
        if (standby->look) {
            int look_ms = standby->look(standby->context);
            timeout_ms = MIN_OF(timeout_ms, look_ms);
        }
        loop_unlock(loop);
        wait_for_events(standby, timeout_ms);
        loop_lock(loop);
        if (!standby->driving || atomic_load(&standby->visits) != visits) {
            break;
        }
        struct reactor_event events[LOOP_BATCH];
        int n = reactor_wait(&loop->reactor, events, LOOP_BATCH, 0);
        loop_dispatch(loop, events, n);
        loop_turn_end(loop);
    }
    loop_unlock(loop);
}

void
standby_recall(struct standby *standby)
{
    if (LIKELY(!standby->driving)) {
        return;
    }
    standby->driving = false;
    if (standby->handover) {
        standby->handover(standby->context, false);
    }
    uint64_t one = 1;
    ssize_t written = write(standby->recall_fd, &one, sizeof(one));
    (void)written; /* full: it is recalled already */
}

static void *
standby_main(void *argument)
{
    struct standby *standby = argument;
    uint64_t seen = 0;
    int idle_ticks = 0;
    while (!is_stopping(standby)) {
        uint64_t visits = atomic_load(&standby->visits);
        if (visits != seen) {
            idle_ticks = 0;
        } else if (in_app(visits)) {
            drive(standby, visits);
            idle_ticks = 0;
        } else if (++idle_ticks >= IDLE_TICKS) {
            sleep_until_visit(standby, visits);
            idle_ticks = 0;
        }
        seen = visits;
        tick(standby);
    }
    return NULL;
}

static int
start_thread(struct standby *standby)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    /* Signals are for the main thread: there Python's handlers run and waits are interrupted. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&standby->thread, NULL, standby_main, standby);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

int
standby_start(struct standby *standby, struct loop *loop)
{
    pthread_condattr_t monotonic;
    standby->loop = loop;
    standby->recall_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (standby->recall_fd < 0) {
        return -errno;
    }
    pthread_mutex_init(&standby->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&standby->wakeup, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int rc = start_thread(standby);
    if (rc < 0) {
        fd_close(&standby->recall_fd);
        return rc;
    }
    standby->started = true;
    return 0;
}

void
standby_stop(struct standby *standby)
{
    if (!standby->started) {
        return;
    }
    atomic_store(&standby->stopping, true);
    standby_rouse(standby);
    loop_lock(standby->loop);
    standby_recall(standby);
    loop_unlock(standby->loop);
    pthread_join(standby->thread, NULL);
    pthread_cond_destroy(&standby->wakeup);
    pthread_mutex_destroy(&standby->lock);
    fd_close(&standby->recall_fd);
    standby->started = false;
}
