/* SPDX-License-Identifier: MIT */
/*
 * What the arbiter finds out about a worker: real child processes that get signals.
 */
#include "proc/obituary.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/panic.h"
#include "proc/arbiter.h"
#include "proc/oom.h"
#include "proc/signals.h"
#include "proc/stacks.h"
#include "proc/worker_signals.h"

static struct world {
    struct slots slots;
    struct child child;
    struct worker_start start;
    int notify[2];
} world;

static int
set_up(void **state)
{
    (void)state;
    memset(&world, 0, sizeof(world));
    assert_int_equal(slots_init(&world.slots, 1), 0);
    world.child.slot = slots_take(&world.slots, 1, 1);
    stacks_init(&world.child.stacks);
    assert_true(world.child.stacks.fd >= 0);
    assert_int_equal(fd_pipe(world.notify), 0);
    world.start = (struct worker_start){
        .slot = world.child.slot,
        .notify_fd = world.notify[1],
        .stacks_fd = world.child.stacks.fd,
    };
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    stacks_fini(&world.child.stacks);
    fd_close(&world.notify[0]);
    fd_close(&world.notify[1]);
    slots_fini(&world.slots);
    return 0;
}

/* Stands for what faulthandler has installed. */
static void
write_stacks(int number)
{
    (void)number;
    (void)!write(world.start.stacks_fd, "here\tI am\n", 10);
}

static NORETURN void
run_child(const sigset_t *mask)
{
    worker_signals_begin(&world.start);
    signal(SIGHUP, SIG_DFL); /* ignored, if nohup(1) runs the tests */
    signal(SIGTERM, SIG_IGN);
    worker_signals_watch();
    worker_signals_watch(); /* not in front of itself */
    signal(signals_stacks(), write_stacks);
    worker_signals_adopt_stacks();
    panic_set_record(world.child.slot->panic, sizeof(world.child.slot->panic), -1);
    signals_unblock(mask);
    for (;;) {
        pause();
    }
}

static void
fork_child(void)
{
    sigset_t mask;
    signals_block(&mask);
    world.child.pid = fork();
    assert_true(world.child.pid >= 0);
    if (world.child.pid == 0) {
        run_child(&mask);
    }
    signals_unblock(&mask);
}

static void
wait_for_notification(void)
{
    struct pollfd pollfd = {.fd = world.notify[0], .events = POLLIN};
    char byte = 0;
    assert_int_equal(poll(&pollfd, 1, 20000), 1);
    assert_int_equal(read(world.notify[0], &byte, 1), 1);
}

static int
end_status(void)
{
    int status = 0;
    assert_int_equal(waitpid(world.child.pid, &status, 0), world.child.pid);
    return status;
}

static void
test_the_sender_is_noted_and_the_signal_has_its_effect(void **state)
{
    (void)state;
    fork_child();
    kill(world.child.pid, SIGTERM); /* ignored: not even noted */
    kill(world.child.pid, SIGHUP);
    wait_for_notification();
    obituary_look(&world.child);
    assert_int_equal(world.child.signal.number, SIGHUP);
    assert_int_equal(world.child.signal.pid, getpid());
    assert_int_equal(world.child.signal.uid, getuid());
    assert_string_equal(world.child.signal.name, "test_obituary");
    int status = end_status();
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGHUP);
}

static void
test_stacks_are_shown_and_taken(void **state)
{
    (void)state;
    fork_child();
    for (uint32_t i = 1; i <= 3; i++) {
        kill(world.child.pid, signals_stacks());
        wait_for_notification();
        assert_int_equal(world.child.slot->stacks_shown, i);
        assert_int_equal(world.child.slot->stacks_for, getpid());
        char *text = stacks_take(&world.child);
        assert_string_equal(text, "here?I am\n"); /* it goes to a terminal */
        free(text);
        assert_null(stacks_take(&world.child));
        assert_int_equal(world.child.stacks.seen, i);
    }
    kill(world.child.pid, SIGKILL);
    end_status();
}

static void
test_stacks_are_cut(void **state)
{
    (void)state;
    char line[1024];
    memset(line, 'x', sizeof(line));
    for (int i = 0; i < 100; i++) {
        assert_int_equal(fd_write_all(world.child.stacks.fd, line, sizeof(line)), 0);
    }
    char *text = stacks_take(&world.child);
    size_t n = strlen(text);
    assert_int_equal(n, 64 * 1024 + 4);
    assert_string_equal(text + n - 5, "x\n...");
    free(text);
}

static void
test_a_panic_leaves_the_native_stack(void **state)
{
    (void)state;
    panic_prepare();
    pid_t pid = fork();
    if (pid == 0) {
        panic_set_record(world.child.slot->panic, SLOT_PANIC_MAX, world.child.stacks.fd);
        PANIC("%s", "on purpose");
    }
    world.child.pid = pid;
    int status = end_status();
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(world.child.slot->panic, "on purpose"));
    char *text = stacks_take(&world.child);
#ifdef __GLIBC__
    assert_memory_equal(text, "Native stack (most recent call first):\n", 39);
    assert_non_null(strstr(text, "test_obituary"));
#endif
    free(text);
}

static void
test_the_request_is_described_and_quoted(void **state)
{
    (void)state;
    char text[OBITUARY_REQUEST_BYTES];
    struct slot *slot = world.child.slot;
    assert_null(obituary_describe_request(&world.child, text, sizeof(text)));
    int64_t begun_ns = clock_mono_ns() - 2 * NS_PER_SEC;
    slot_request_begin(slot, SPAN("G\"T"), SPAN("/\x1b[2J\n"), SPAN(""), begun_ns);
    assert_non_null(obituary_describe_request(&world.child, text, sizeof(text)));
    static const char expected[] = "G\\\"T /\\x1b[2J\\n from a unix socket for ";
    assert_memory_equal(text, expected, sizeof(expected) - 1);
    assert_true(strtod(text + sizeof(expected) - 1, NULL) >= 2.0);
}

static void
write_counter(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
    close(fd);
}

static void
test_out_of_memory_is_what_the_kernel_has_counted(void **state)
{
    (void)state;
    char path[] = "/tmp/test_obituary.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct oom_counter counter = {.path = path};
    assert_false(oom_counter_grew(&counter)); /* an empty file */
    write_counter(path, "low 9\noom 4\noom_kill 3\noom_group_kill 7\n");
    assert_true(oom_counter_grew(&counter));
    assert_false(oom_counter_grew(&counter));
    write_counter(path, "oom_kill_disable 0\nunder_oom 0\noom_kill 4");
    assert_true(oom_counter_grew(&counter));
    unlink(path);
    assert_false(oom_counter_grew(&counter));

    oom_counter_init(&counter); /* of this machine, whatever it has */
    oom_counter_fini(&counter);
    assert_false(oom_counter_grew(&counter));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_sender_is_noted_and_the_signal_has_its_effect,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stacks_are_shown_and_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stacks_are_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_panic_leaves_the_native_stack, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_request_is_described_and_quoted, set_up,
                                        tear_down),
        cmocka_unit_test(test_out_of_memory_is_what_the_kernel_has_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
