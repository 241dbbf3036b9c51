/* SPDX-License-Identifier: MIT */
#include "app/deadline.h"

#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"

static _Atomic int64_t shared_ns;
static atomic_int signals;
static struct deadline deadline;

static const int64_t second = NS_PER_SEC;

static void
count_signal(int number)
{
    (void)number;
    atomic_fetch_add(&signals, 1);
}

static int
set_up(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = count_signal};
    sigaction(SIGRTMIN, &action, NULL);
    atomic_store(&shared_ns, 0);
    atomic_store(&signals, 0);
    deadline_init(&deadline, &shared_ns, 10 * second, SIGRTMIN);
    return 0;
}

static void
test_off(void **state)
{
    (void)state;
    deadline_init(&deadline, &shared_ns, 0, SIGRTMIN);
    assert_false(deadline_is_on(&deadline));
    assert_int_equal(deadline_look(&deadline, 1000 * second), INT_MAX);
    assert_int_equal(signals, 0);
}

static void
test_the_signal_comes_once(void **state)
{
    (void)state;
    assert_int_equal(deadline_look(&deadline, 5 * second), INT_MAX); /* no request */
    deadline_begin(&deadline, 5 * second);
    assert_true(shared_ns == 15 * second);
    assert_int_equal(deadline_look(&deadline, 14 * second), 1001);
    assert_int_equal(signals, 0);
    assert_int_equal(deadline_look(&deadline, 15 * second), INT_MAX);
    assert_int_equal(signals, 1);
    assert_int_equal(deadline_look(&deadline, 16 * second), INT_MAX);
    assert_int_equal(signals, 1);
    deadline_end(&deadline);
    assert_true(shared_ns == 0);
    assert_int_equal(deadline_look(&deadline, 100 * second), INT_MAX);
    assert_int_equal(signals, 1);
}

static void
test_the_handler_finds_the_late_request_once(void **state)
{
    (void)state;
    assert_false(deadline_take(&deadline, 100 * second)); /* no request */
    deadline_begin(&deadline, 0);
    assert_false(deadline_take(&deadline, 10 * second - 1));
    assert_true(deadline_take(&deadline, 10 * second));
    assert_false(deadline_take(&deadline, 10 * second));
    deadline_end(&deadline);
    assert_false(deadline_take(&deadline, 11 * second));
    deadline_begin(&deadline, 11 * second); /* a signal that was for the one before */
    assert_false(deadline_take(&deadline, 11 * second));
    assert_true(deadline_take(&deadline, 21 * second));
}

static void
test_more_time(void **state)
{
    (void)state;
    deadline_extend(&deadline, 0, 100 * second); /* no request: nothing to extend */
    assert_true(shared_ns == 0);
    deadline_begin(&deadline, 0);
    deadline_extend(&deadline, 5 * second, second); /* never less */
    assert_true(shared_ns == 10 * second);
    deadline_extend(&deadline, 5 * second, 7 * second);
    assert_true(shared_ns == 12 * second);
    assert_int_equal(deadline_look(&deadline, 10 * second), 2001);
    assert_int_equal(deadline_look(&deadline, 12 * second), INT_MAX);
    assert_int_equal(signals, 1);
    /* Late already, and then late again. */
    assert_true(deadline_take(&deadline, 12 * second));
    deadline_extend(&deadline, 13 * second, second);
    assert_false(deadline_take(&deadline, 13 * second));
    assert_int_equal(deadline_look(&deadline, 14 * second), INT_MAX);
    assert_int_equal(signals, 2);
    assert_true(deadline_take(&deadline, 14 * second));
}

/* While requests begin, are extended and end in one thread, another one looks. */
static void *
look_for_ever(void *stop)
{
    while (!atomic_load((atomic_bool *)stop)) {
        (void)deadline_look(&deadline, clock_mono_ns());
    }
    return NULL;
}

static void
test_two_threads(void **state)
{
    enum { REQUESTS = 2000 };
    atomic_bool stop = false;
    pthread_t looker;
    int taken = 0;

    (void)state;
    deadline_init(&deadline, &shared_ns, 20 * 1000, SIGRTMIN);
    pthread_create(&looker, NULL, look_for_ever, &stop);
    for (int i = 0; i < REQUESTS; i++) {
        int64_t begun_ns = clock_mono_ns();
        deadline_begin(&deadline, begun_ns);
        if (i % 3 == 0) {
            deadline_extend(&deadline, begun_ns, 30 * 1000);
        }
        while (clock_mono_ns() < begun_ns + i % 40 * 1000) {
        }
        taken += deadline_take(&deadline, clock_mono_ns());
        deadline_end(&deadline);
    }
    atomic_store(&stop, true);
    pthread_join(looker, NULL);
    assert_in_range(taken, 1, REQUESTS);
    assert_true(signals <= REQUESTS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_off, set_up),
        cmocka_unit_test_setup(test_the_signal_comes_once, set_up),
        cmocka_unit_test_setup(test_the_handler_finds_the_late_request_once, set_up),
        cmocka_unit_test_setup(test_more_time, set_up),
        cmocka_unit_test_setup(test_two_threads, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
