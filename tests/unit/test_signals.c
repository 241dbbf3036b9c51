/* SPDX-License-Identifier: MIT */
#include "proc/signals.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void
test_signals_come_out_in_order(void **state)
{
    (void)state;
    static const int sent[] = {SIGHUP, SIGTTIN, SIGTTOU, SIGTTIN, SIGUSR1, SIGTERM, SIGWINCH};
    int fd = signals_start();
    assert_true(fd >= 0);
    assert_int_equal(signals_next(), 0);
    for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
        raise(sent[i]);
    }
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&pollfd, 1, 0), 1);
    for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
        assert_int_equal(signals_next(), sent[i]);
    }
    assert_int_equal(signals_next(), 0);
    signals_stop();
}

/* A sanitizer may deliver a signal at the next system call only. */
static int
wait_for_signal(int fd)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    while (poll(&pollfd, 1, 20000) < 0) {
    }
    return signals_next();
}

static void
test_senders_come_with_them(void **state)
{
    (void)state;
    union sigval value = {.sival_int = 77};
    int fd = signals_start();
    assert_true(fd >= 0);
    kill(getpid(), SIGHUP);
    assert_int_equal(wait_for_signal(fd), SIGHUP);
    assert_int_equal(signals_sender()->pid, getpid());
    assert_false(signals_sender()->queued);
    sigqueue(getpid(), signals_stacks(), value);
    assert_int_equal(wait_for_signal(fd), signals_stacks());
    assert_int_equal(signals_sender()->pid, getpid());
    assert_true(signals_sender()->queued);
    assert_int_equal(signals_sender()->value, 77);
    kill(getpid(), signals_stacks());
    assert_int_equal(wait_for_signal(fd), signals_stacks());
    assert_false(signals_sender()->queued);
    signals_stop();
    assert_string_equal(signals_short_name(signals_stacks()), "stacks");
}

/* As a hook may: it is not the arbiter, and the arbiter's signals are none of its business. */
static void
test_a_forked_process_has_no_part_in_it(void **state)
{
    (void)state;
    int status = 0;
    assert_true(signals_start() >= 0);
    pid_t pid = fork();
    if (pid == 0) {
        kill(getpid(), SIGCHLD); /* ignored by default */
        kill(getpid(), SIGTERM);
        for (;;) {
            pause();
        }
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    for (int number = signals_next(); number > 0; number = signals_next()) {
        assert_int_equal(number, SIGCHLD);
        assert_int_not_equal(signals_sender()->pid, pid);
    }
    signals_stop();
}

/* Pending together, they are delivered lowest number first. */
static void
test_pending_signals_come_out_in_order(void **state)
{
    (void)state;
    sigset_t mask;
    assert_true(signals_start() >= 0);
    signals_block(&mask);
    raise(SIGUSR1);
    raise(SIGUSR2);
    raise(SIGTTIN);
    signals_unblock(&mask);
    assert_int_equal(signals_next(), SIGUSR1);
    assert_int_equal(signals_next(), SIGUSR2);
    assert_int_equal(signals_next(), SIGTTIN);
    signals_stop();
}

static void
ignore(int number)
{
    (void)number;
}

static void
test_stop_restores(void **state)
{
    (void)state;
    struct sigaction action;
    signal(SIGUSR1, ignore);
    assert_true(signals_start() >= 0);
    signals_stop();
    signals_stop();
    sigaction(SIGUSR1, NULL, &action);
    assert_ptr_equal(action.sa_handler, ignore);
    signal(SIGUSR1, SIG_DFL);
}

/* The child must neither feed its parent's queue nor keep its mask. */
static void
test_a_child_has_defaults(void **state)
{
    (void)state;
    sigset_t mask;
    int status = 0;
    assert_true(signals_start() >= 0);
    signals_block(&mask);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        raise(SIGTERM); /* pending until the mask is gone */
        signals_reset();
        signals_unblock(&mask);
        _exit(0);
    }
    signals_unblock(&mask);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    for (int number = signals_next(); number > 0; number = signals_next()) {
        assert_int_equal(number, SIGCHLD);
    }
    signals_stop();
}

static void
test_names(void **state)
{
    (void)state;
    assert_string_equal(signals_name(SIGSEGV), "SIGSEGV");
    assert_string_equal(signals_name(SIGTERM), "SIGTERM");
    assert_string_equal(signals_name(64), "an unnamed signal");
    assert_string_equal(signals_short_name(SIGCHLD), "chld");
    assert_string_equal(signals_short_name(SIGHUP), "hup");
    assert_string_equal(signals_short_name(64), "unknown");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signals_come_out_in_order),
        cmocka_unit_test(test_senders_come_with_them),
        cmocka_unit_test(test_a_forked_process_has_no_part_in_it),
        cmocka_unit_test(test_pending_signals_come_out_in_order),
        cmocka_unit_test(test_stop_restores),
        cmocka_unit_test(test_a_child_has_defaults),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
