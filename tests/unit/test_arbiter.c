/* SPDX-License-Identifier: MIT */
/*
 * The arbiter without an interpreter: the host forks real processes that behave as the test says.
 */
#include "proc/arbiter.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "config/config.h"
#include "log/log.h"
#include "proc/manage.h"
#include "proc/recycle.h"
#include "proc/signals.h"

enum behaviour {
    SERVE,           /* ready at once, shows heartbeats, leaves on TERM */
    SERVE_LATER,     /* ready after a while */
    SERVE_WHEN_TOLD, /* ready once there is something in the pipe `gate` */
    SERVE_ONCE,      /* asks for a successor as soon as it is ready */
    FALL_SILENT,     /* ready, and no heartbeat ever after */
    EXIT_3,
    EXIT_4,
    CRASH,  /* by itself */
    KILLED, /* as if by somebody */
    EXIT_0,
    LEAVE, /* as after TERM in the boot */
    HANG,  /* never ready; deaf to everything but KILL */
};

static struct world {
    struct arbiter arbiter;
    struct config *cfg;
    struct config *next_cfg; /* what a reload finds; NULL: it fails */
    enum behaviour behaviour;
    int forks;
    int exits; /* child_exit */
    int64_t least_ready;
    int64_t target_told;
    pid_t old;                 /* who is to be gone in old_one_is_gone() */
    enum arbiter_hook failing; /* the hook that raises, */
    bool fails;                /* ... if one does */
    int gate[2];
} world;

/* --- the host --- */

static int
call_hook(void *context, enum arbiter_hook hook, struct child *child)
{
    (void)context;
    (void)child;
    world.exits += hook == HOOK_CHILD_EXIT;
    return world.fails && hook == world.failing ? -ECANCELED : 0;
}

static int
nworkers_changed(void *context, int64_t now, int64_t old)
{
    (void)context;
    (void)old;
    world.target_told = now;
    return 0;
}

static int
report(void *context)
{
    (void)context;
    world.fails = false;
    return EXIT_UNHANDLED;
}

static int
do_nothing(void *context)
{
    (void)context;
    return 0;
}

static int
reload(void *context, const struct config **ret_cfg)
{
    (void)context;
    *ret_cfg = world.next_cfg;
    return world.next_cfg ? 0 : -EINVAL;
}

static void
reload_done(void *context, bool accepted)
{
    (void)context;
    (void)accepted;
}

static void
reopen_logs(void *context)
{
    (void)context;
}

static void
unset_env(void *context, const char *name)
{
    (void)context;
    unsetenv(name);
}

static pid_t
count_fork(void *context)
{
    (void)context;
    world.forks++;
    return fork();
}

static int
child_new(void *context, struct child *child)
{
    (void)context;
    (void)child;
    return 0;
}

static void
child_noted(void *context, struct child *child)
{
    (void)context;
    (void)child;
}

static volatile sig_atomic_t told_to_go;

static void
on_term(int number)
{
    (void)number;
    told_to_go = 1;
}

/* Until told to go, or the arbiter is dead. */
static NORETURN void
serve(const struct worker_start *start, bool beats)
{
    struct pollfd pollfd = {.fd = start->parent_fd, .events = POLLIN};
    worker_start_ready(start);
    if (world.behaviour == SERVE_ONCE) {
        slot_set_state(start->slot, SLOT_RETIRING);
        worker_start_notify(start);
    }
    while (!told_to_go && poll(&pollfd, 1, 5) <= 0) {
        if (beats) {
            slot_heartbeat(start->slot, clock_mono_ns());
        }
    }
    slot_set_state(start->slot, SLOT_DRAINING);
    _exit(0);
}

static NORETURN void
run_worker(void *context, struct child *child, const struct worker_start *start)
{
    (void)context;
    (void)child;
    struct sigaction action = {.sa_handler = on_term};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGQUIT, &action, NULL);
    switch (world.behaviour) {
    case EXIT_3:
    case EXIT_4:
        _exit(world.behaviour == EXIT_3 ? 3 : 4);
    case LEAVE:
        slot_set_state(start->slot, SLOT_DRAINING);
        worker_start_notify(start);
        poll(NULL, 0, 5);
        _exit(0);
    case EXIT_0:
        _exit(0);
    case CRASH:
        raise(SIGALRM); /* no core file */
        _exit(1);
    case KILLED:
        raise(SIGKILL);
        _exit(1);
    case HANG:
        signal(SIGTERM, SIG_IGN);
        signal(SIGABRT, SIG_IGN);
        for (;;) {
            pause();
        }
    case SERVE_LATER:
        poll(NULL, 0, 200);
        break;
    case SERVE_WHEN_TOLD:
        poll(&(struct pollfd){.fd = world.gate[0], .events = POLLIN}, 1, -1);
        break;
    case SERVE:
    case SERVE_ONCE:
    case FALL_SILENT:
        break;
    }
    serve(start, world.behaviour != FALL_SILENT);
}

static const struct arbiter_host host = {
    .call_hook = call_hook,
    .nworkers_changed = nworkers_changed,
    .report = report,
    .preload = do_nothing,
    .reload = reload,
    .reload_done = reload_done,
    .reopen_logs = reopen_logs,
    .unset_env = unset_env,
    .listeners_changed = do_nothing,
    .fork = count_fork,
    .child_new = child_new,
    .child_forked = child_noted,
    .child_free = child_noted,
    .run_worker = run_worker,
};

/* --- the world --- */

static struct config *
new_config(int workers)
{
    struct config *cfg = config_new();
    cfg->workers = workers;
    cfg->graceful_timeout = 5;
    free(cfg->bind.items[0]);
    cfg->bind.items[0] = mem_strdup("127.0.0.1:0");
    return cfg;
}

static int
set_up(void **state)
{
    (void)state;
    memset(&world, 0, sizeof(world));
    assert_int_equal(pipe(world.gate), 0);
    world.cfg = new_config(2);
    world.arbiter.host = &host;
    world.arbiter.program = "saola";
    world.arbiter.version = "0";
    world.arbiter.start_directory = "/";
    arbiter_init(&world.arbiter, world.cfg);
    world.least_ready = INT64_MAX;
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    for (struct list *node = world.arbiter.children.next; node != &world.arbiter.children;
         node = node->next) {
        kill(LIST_ENTRY(node, struct child, node)->pid, SIGKILL);
    }
    arbiter_fini(&world.arbiter);
    close(world.gate[0]);
    close(world.gate[1]);
    config_free(world.cfg);
    config_free(world.next_cfg);
    return 0;
}

static int64_t
count_ready(void)
{
    int64_t count = 0;
    for (struct list *node = world.arbiter.children.next; node != &world.arbiter.children;
         node = node->next) {
        const struct child *child = LIST_ENTRY(node, struct child, node);
        count += child->ready && !child->leaving;
    }
    return count;
}

static int64_t
count_children(void)
{
    int64_t count = 0;
    for (struct list *node = world.arbiter.children.next; node != &world.arbiter.children;
         node = node->next) {
        count++;
    }
    return count;
}

static pid_t
oldest_pid(void)
{
    return LIST_ENTRY(list_first(&world.arbiter.children), struct child, node)->pid;
}

/* Turns until the condition holds, or fails the test. */
static void
run_until(bool (*condition)(void))
{
    int64_t deadline_ns = clock_mono_ns() + 60 * NS_PER_SEC;
    for (;;) {
        assert_true(arbiter_turn(&world.arbiter));
        world.least_ready = MIN_OF(world.least_ready, count_ready());
        if (condition()) {
            return;
        }
        assert_true(clock_mono_ns() < deadline_ns);
        arbiter_wait(&world.arbiter);
    }
}

static void
run_for(int64_t ms)
{
    int64_t deadline_ns = clock_mono_ns() + ms * NS_PER_MS;
    while (clock_mono_ns() < deadline_ns) {
        assert_true(arbiter_turn(&world.arbiter));
        poll(NULL, 0, 5);
    }
}

/* The exit code, once a signal has ended the server. */
static int
run_to_end(void)
{
    int64_t deadline_ns = clock_mono_ns() + 20 * NS_PER_SEC;
    while (arbiter_turn(&world.arbiter)) {
        assert_true(clock_mono_ns() < deadline_ns);
        arbiter_wait(&world.arbiter);
    }
    assert_true(list_empty(&world.arbiter.children));
    return world.arbiter.exit_code;
}

static bool
all_ready(void)
{
    return count_ready() == world.arbiter.target && count_children() == world.arbiter.target;
}

static bool
generation_2_is_ready(void)
{
    return world.arbiter.generation == 2 && all_ready() &&
           LIST_ENTRY(list_first(&world.arbiter.children), struct child, node)->generation == 2;
}

static bool
a_boot_has_failed(void)
{
    return world.arbiter.boot_failures > 0 && count_children() == world.arbiter.target;
}

static bool
one_exit(void)
{
    return world.exits > 0;
}

static bool
old_one_is_gone(void)
{
    return !child_find(&world.arbiter, world.old) && all_ready();
}

static void
start(void)
{
    assert_int_equal(arbiter_start(&world.arbiter), 0);
    run_until(all_ready);
    world.least_ready = INT64_MAX;
    world.exits = 0;
}

/* --- tests --- */

static void
test_start_and_stop(void **state)
{
    (void)state;
    start();
    assert_int_equal(world.forks, 2);
    assert_int_equal(world.target_told, 2);
    raise(SIGTERM);
    assert_int_equal(run_to_end(), 0);
    assert_int_equal(world.exits, 2);
}

static void
test_ttin_and_ttou(void **state)
{
    (void)state;
    start();
    pid_t oldest = oldest_pid();
    raise(SIGTTIN);
    raise(SIGTTIN);
    raise(SIGTTOU);
    run_until(all_ready);
    assert_int_equal(world.arbiter.target, 3);
    raise(SIGTTOU);
    raise(SIGTTOU);
    raise(SIGTTOU);
    raise(SIGTTOU);
    run_until(all_ready);
    assert_int_equal(world.arbiter.target, 1);
    assert_int_not_equal(oldest_pid(), oldest);
}

static void
test_a_killed_worker_is_replaced(void **state)
{
    (void)state;
    start();
    pid_t victim = oldest_pid();
    kill(victim, SIGKILL);
    run_until(one_exit);
    run_until(all_ready);
    assert_int_not_equal(oldest_pid(), victim);
    assert_int_equal(world.forks, 3);
}

static void
test_failing_first_boot_ends_the_server(void **state)
{
    (void)state;
    world.behaviour = EXIT_3;
    assert_int_equal(arbiter_start(&world.arbiter), 0);
    assert_int_equal(run_to_end(), 3);
    assert_string_equal(world.arbiter.reason, "Worker failed to boot.");
}

static void
test_application_that_does_not_load_ends_the_server(void **state)
{
    (void)state;
    world.behaviour = EXIT_4;
    assert_int_equal(arbiter_start(&world.arbiter), 0);
    assert_int_equal(run_to_end(), 4);
    assert_string_equal(world.arbiter.reason, "App failed to load.");
}

static void
test_later_boot_failures_do_not(void **state)
{
    (void)state;
    start();
    world.behaviour = EXIT_3;
    kill(oldest_pid(), SIGKILL);
    run_until(one_exit);
    run_for(500);
    assert_int_equal(count_ready(), 1);
    world.behaviour = SERVE;
    run_until(all_ready);
}

static void
test_death_at_boot_backs_off(void **state)
{
    (void)state;
    world.behaviour = CRASH;
    assert_int_equal(arbiter_start(&world.arbiter), 0);
    run_for(3500);
    /* Two at once, then one after 1 s and one after another 2 s. */
    assert_in_range(world.forks, 3, 4);
    assert_int_equal(world.arbiter.listener_count, 1);
    raise(SIGTERM);
    assert_int_equal(run_to_end(), 0);
}

/* Forks in `seconds` of the arbiter's life, whose clock is turned on while no worker is there. */
static int
count_forks(int64_t seconds)
{
    struct arbiter *a = &world.arbiter;
    int64_t now_ns = clock_mono_ns();
    int64_t end_ns = now_ns + seconds * NS_PER_SEC;
    assert_int_equal(arbiter_start(a), 0);
    while (now_ns < end_ns) {
        manage_reap(a, now_ns);
        manage_look(a, now_ns);
        manage_balance(a, now_ns);
        if (list_empty(&a->children)) {
            now_ns = manage_next_ns(a);
        } else {
            poll(NULL, 0, 1);
            now_ns += NS_PER_MS;
        }
    }
    return world.forks;
}

static void
test_code_that_dies_at_boot_is_forked_ten_times_in_30_seconds(void **state)
{
    static const enum behaviour deaths[] = {CRASH, KILLED, EXIT_0, LEAVE};
    for (size_t i = 0; i < ARRAY_LEN(deaths); i++) {
        tear_down(state);
        set_up(state);
        world.cfg->workers = 16;
        world.behaviour = deaths[i];
        assert_in_range(count_forks(30), 6, 10);
        assert_int_equal(world.exits, world.forks);
        assert_int_equal(world.arbiter.listener_count, 1);
    }
}

static void
test_many_workers_start_once_one_is_ready(void **state)
{
    (void)state;
    world.cfg->workers = 16;
    world.behaviour = SERVE_LATER;
    assert_int_equal(arbiter_start(&world.arbiter), 0);
    assert_true(arbiter_turn(&world.arbiter));
    assert_int_equal(world.forks, 5);
    run_until(all_ready);
    assert_int_equal(world.forks, 16);
}

static void
test_a_booting_worker_that_somebody_kills_is_replaced_at_once(void **state)
{
    (void)state;
    start();
    world.behaviour = HANG;
    raise(SIGTTIN);
    assert_true(arbiter_turn(&world.arbiter));
    assert_int_equal(count_children(), 3);
    world.behaviour = SERVE;
    kill(LIST_ENTRY(world.arbiter.children.prev, struct child, node)->pid, SIGKILL);
    run_until(one_exit);
    assert_int_equal(world.forks, 4);
    run_until(all_ready);
    assert_int_equal(world.forks, 4);
}

static void
test_reload_keeps_the_number_of_ready_workers(void **state)
{
    (void)state;
    start();
    world.behaviour = SERVE_LATER;
    world.next_cfg = new_config(2);
    raise(SIGHUP);
    run_until(generation_2_is_ready);
    assert_int_equal(world.least_ready, 2);
    assert_int_equal(world.forks, 4);
}

static void
test_reload_with_another_number(void **state)
{
    (void)state;
    start();
    world.next_cfg = new_config(3);
    raise(SIGHUP);
    run_until(generation_2_is_ready);
    assert_int_equal(world.target_told, 3);
}

static void
test_reloads_that_come_together_are_one(void **state)
{
    (void)state;
    start();
    world.behaviour = SERVE_LATER;
    world.next_cfg = new_config(2);
    raise(SIGHUP);
    run_for(50);
    raise(SIGHUP);
    raise(SIGHUP);
    run_until(all_ready);
    run_for(100);
    run_until(all_ready);
    assert_int_equal(world.arbiter.generation, 3);
}

static void
test_failed_reload_changes_nothing(void **state)
{
    (void)state;
    start();
    pid_t oldest = oldest_pid();
    raise(SIGHUP);
    run_for(50);
    assert_int_equal(world.arbiter.generation, 1);
    assert_int_equal(oldest_pid(), oldest);
}

static void
test_reload_to_an_address_in_use_changes_nothing(void **state)
{
    (void)state;
    start();
    struct config *cfg = new_config(2);
    free(cfg->bind.items[0]);
    cfg->bind.items[0] = mem_strdup("192.0.2.1:80"); /* nobody's, RFC 5737 */
    world.next_cfg = cfg;
    raise(SIGHUP);
    run_for(50);
    assert_int_equal(world.arbiter.generation, 1);
    assert_ptr_equal(world.arbiter.cfg, world.cfg);
    assert_true(world.arbiter.listeners[0].fd >= 0);
}

static void
test_reload_to_code_that_fails_keeps_the_old_workers(void **state)
{
    (void)state;
    start();
    pid_t oldest = oldest_pid();
    world.behaviour = EXIT_3;
    world.next_cfg = new_config(2);
    raise(SIGHUP);
    run_for(500);
    run_until(a_boot_has_failed);
    assert_int_equal(count_ready(), 2);
    assert_int_equal(oldest_pid(), oldest);
    assert_in_range(world.forks, 3, 4);
    world.behaviour = SERVE;
    int forks = world.forks;
    raise(SIGHUP);
    assert_true(arbiter_turn(&world.arbiter));
    assert_int_equal(world.arbiter.generation, 3);
    assert_int_equal(world.forks, forks + 1); /* at once, whatever the back-off */
    run_until(all_ready);
    assert_int_not_equal(oldest_pid(), oldest);
}

static void
test_a_worker_that_dies_during_a_reload_gets_a_successor_at_once(void **state)
{
    (void)state;
    start();
    world.behaviour = SERVE_WHEN_TOLD;
    world.next_cfg = new_config(2);
    raise(SIGHUP);
    assert_true(arbiter_turn(&world.arbiter));
    assert_int_equal(world.forks, 3);
    kill(oldest_pid(), SIGKILL);
    run_until(one_exit);
    assert_int_equal(world.forks, 4); /* one serves, two boot */
    assert_int_equal(write(world.gate[1], "", 1), 1);
    run_until(generation_2_is_ready);
    assert_int_equal(world.forks, 4);
    assert_int_equal(world.least_ready, 1);
}

static void
test_reload_batch(void **state)
{
    static const struct {
        int batch;
        int forks;
    } cases[] = {{1, 1}, {2, 2}, {7, 3}, {0, 3}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        tear_down(state);
        set_up(state);
        world.cfg->workers = 3;
        start();
        world.behaviour = SERVE_LATER;
        world.next_cfg = new_config(3);
        world.next_cfg->reload_batch = cases[i].batch;
        raise(SIGHUP);
        assert_true(arbiter_turn(&world.arbiter));
        assert_int_equal(world.forks, 3 + cases[i].forks);
        run_until(generation_2_is_ready);
        assert_int_equal(world.least_ready, 3);
        assert_int_equal(world.forks, 6);
    }
}

/* All ask at once, as after the same number of requests; their successors come one by one. */
static void
test_workers_that_ask_together_do_not_double_the_load(void **state)
{
    (void)state;
    world.cfg->workers = 3;
    world.behaviour = SERVE_ONCE;
    assert_int_equal(arbiter_start(&world.arbiter), 0);
    assert_true(arbiter_turn(&world.arbiter));
    world.behaviour = SERVE_LATER;
    int64_t most = 0;
    int64_t deadline_ns = clock_mono_ns() + 20 * NS_PER_SEC;
    while (world.exits < 3) {
        assert_true(arbiter_turn(&world.arbiter));
        int64_t count = 0;
        for (EACH_CHILD(&world.arbiter, node, next)) {
            count += !child_at(node)->leaving;
        }
        most = MAX_OF(most, count);
        assert_true(clock_mono_ns() < deadline_ns);
        arbiter_wait(&world.arbiter);
    }
    run_until(all_ready);
    assert_int_equal(most, 4);
    assert_int_equal(world.forks, 6);
}

static void
test_an_old_worker_is_replaced(void **state)
{
    (void)state;
    world.cfg->max_worker_age = 1;
    start();
    world.cfg->max_worker_age = 0; /* their successors stay */
    world.old = oldest_pid();      /* though the other one may have been ready before it */
    run_until(old_one_is_gone);
    assert_int_equal(world.least_ready, 2);
}

static void
test_the_age_has_its_jitter(void **state)
{
    (void)state;
    bool differ = false;
    struct child child = {0};
    int64_t first_ns = 0;
    world.cfg->max_worker_age = 100;
    world.cfg->max_worker_age_jitter = 50;
    for (int i = 0; i < 100; i++) {
        recycle_begin(&world.arbiter, &child, 0);
        assert_in_range(child.old_at_ns, 100 * NS_PER_SEC, 150 * NS_PER_SEC);
        first_ns = i == 0 ? child.old_at_ns : first_ns;
        differ = differ || child.old_at_ns != first_ns;
    }
    assert_true(differ);
}

static void
test_memory_is_judged_by_three_samples(void **state)
{
    (void)state;
    start();
    struct arbiter *a = &world.arbiter;
    const struct child *child = child_at(list_first(&a->children));
    int64_t now_ns = clock_mono_ns();
    world.cfg->max_worker_rss = 1;
    for (int i = 0; i < 10; i++) { /* in the same instant: one sample */
        recycle_look(a, now_ns);
    }
    assert_int_equal(child->fat_samples, 1);
    recycle_look(a, now_ns += 2 * NS_PER_SEC);
    assert_false(child->wants_to_go);
    world.cfg->max_worker_rss = INT64_C(1) << 40; /* a peak has passed */
    recycle_look(a, now_ns += 2 * NS_PER_SEC);
    assert_int_equal(child->fat_samples, 0);
    world.cfg->max_worker_rss = 1;
    for (int i = 0; i < 3; i++) {
        assert_false(child->wants_to_go);
        recycle_look(a, now_ns += 2 * NS_PER_SEC);
    }
    assert_true(child->wants_to_go);
}

static void
test_memory_of_a_process(void **state)
{
    enum { BYTES = 64 << 20 };
    (void)state;
    int64_t before = recycle_memory_bytes(getpid(), 0);
    char *memory = mem_alloc(BYTES);
    memset(memory, 1, BYTES);
    int64_t after = recycle_memory_bytes(getpid(), 0);
    free(memory);
    assert_true(before > 0);
    assert_true(after - before >= BYTES / 10 * 9);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which have shadows */
    assert_true(after - before <= BYTES / 10 * 11);
    assert_true(recycle_memory_bytes(getpid(), INT64_MAX) >= after - BYTES);
#endif
    assert_int_equal(recycle_memory_bytes(-1, 0), -ESRCH);
}

static void
test_a_worker_that_asks_is_replaced_first(void **state)
{
    (void)state;
    world.cfg->workers = 1;
    world.behaviour = SERVE_ONCE;
    assert_int_equal(arbiter_start(&world.arbiter), 0);
    assert_true(arbiter_turn(&world.arbiter));
    world.behaviour = SERVE_LATER;
    run_until(one_exit);
    run_until(all_ready);
    assert_int_equal(world.forks, 2);
}

static void
test_silence_is_death(void **state)
{
    (void)state;
    world.cfg->timeout = 1;
    world.cfg->workers = 1;
    world.behaviour = FALL_SILENT;
    start();
    world.behaviour = SERVE;
    run_until(one_exit);
    run_until(all_ready);
}

static void
test_a_late_request_is_death_after_a_grace(void **state)
{
    (void)state;
    world.cfg->timeout = 0;
    start();
    struct slot *slot = child_at(list_first(&world.arbiter.children))->slot;
    int64_t deadline_ns = clock_mono_ns() + NS_PER_SEC;
    atomic_store(&slot->request.deadline_ns, deadline_ns);
    assert_true(manage_next_ns(&world.arbiter) == deadline_ns + 5 * NS_PER_SEC);
    atomic_store(&slot->request.deadline_ns, deadline_ns - 3 * NS_PER_SEC);
    run_for(500);
    assert_int_equal(world.exits, 0);
    run_until(one_exit);
    run_until(all_ready);
    assert_true(manage_next_ns(&world.arbiter) == INT64_MAX);
}

static void
test_silence_is_no_death_without_a_timeout(void **state)
{
    (void)state;
    world.cfg->timeout = 0;
    world.behaviour = FALL_SILENT;
    start();
    run_for(1500);
    assert_int_equal(world.exits, 0);
}

static void
test_workers_are_not_late_after_the_arbiter_was(void **state)
{
    (void)state;
    world.cfg->timeout = 2;
    world.behaviour = FALL_SILENT;
    start();
    poll(NULL, 0, 3500); /* as if stopped */
    run_for(500);
    assert_int_equal(world.exits, 0);
}

static void
test_a_silent_worker_is_late_however_often_the_arbiter_is(void **state)
{
    (void)state;
    world.cfg->timeout = 4;
    world.cfg->workers = 1;
    world.behaviour = FALL_SILENT;
    start();
    struct child *child = child_at(list_first(&world.arbiter.children));
    int64_t first_ns = clock_mono_ns() + 10 * NS_PER_SEC;
    manage_excuse(&world.arbiter, 9 * NS_PER_SEC, first_ns);
    int64_t late_ns = first_ns + 4 * NS_PER_SEC; /* all the time again, once */
    assert_true(manage_next_ns(&world.arbiter) == late_ns);
    manage_excuse(&world.arbiter, NS_PER_SEC, first_ns + 2 * NS_PER_SEC);
    manage_excuse(&world.arbiter, NS_PER_SEC, first_ns + 4 * NS_PER_SEC);
    assert_true(manage_next_ns(&world.arbiter) == late_ns + 2 * NS_PER_SEC);
    slot_heartbeat(child->slot, first_ns + 5 * NS_PER_SEC); /* forgotten, what was before it */
    assert_true(manage_next_ns(&world.arbiter) == first_ns + 9 * NS_PER_SEC);
}

static void
test_boot_has_a_deadline(void **state)
{
    (void)state;
    world.cfg->workers = 1;
    world.behaviour = HANG;
    world.cfg->boot_timeout = 1;
    assert_int_equal(arbiter_start(&world.arbiter), 0);
    assert_true(arbiter_turn(&world.arbiter));
    world.behaviour = SERVE;
    run_until(one_exit);
    world.cfg->boot_timeout = 0; /* the next one takes what it takes */
    run_until(all_ready);
    assert_int_equal(world.exits, 1);
}

/* When the only worker, which hangs in its boot, is to be aborted: after it was forked. */
static int64_t
boot_deadline_ns(void)
{
    world.cfg->workers = 1;
    world.behaviour = HANG;
    assert_int_equal(arbiter_start(&world.arbiter), 0);
    assert_true(arbiter_turn(&world.arbiter));
    int64_t next_ns = manage_next_ns(&world.arbiter);
    const struct list *node = list_first(&world.arbiter.children);
    return next_ns == INT64_MAX
               ? INT64_MAX
               : next_ns - LIST_ENTRY((struct list *)node, struct child, node)->forked_ns;
}

static void
test_boot_is_not_bound_by_the_timeout(void **state)
{
    (void)state;
    world.cfg->timeout = 5;
    assert_true(boot_deadline_ns() == 60 * NS_PER_SEC);
}

static void
test_boot_is_bound_by_the_timeout_if_so_set(void **state)
{
    (void)state;
    world.cfg->timeout = 5;
    world.cfg->boot_within_timeout = true;
    assert_true(boot_deadline_ns() == 5 * NS_PER_SEC);
}

static void
test_boot_has_no_deadline_if_so_set(void **state)
{
    (void)state;
    world.cfg->boot_timeout = 0;
    assert_true(boot_deadline_ns() == INT64_MAX);
}

static void
test_second_signal_hurries_and_the_deaf_are_killed(void **state)
{
    (void)state;
    world.cfg->graceful_timeout = 60;
    world.behaviour = HANG;
    assert_int_equal(arbiter_start(&world.arbiter), 0);
    run_for(100); /* until they are deaf */
    raise(SIGTERM);
    assert_true(arbiter_turn(&world.arbiter));
    int64_t begun_ns = clock_mono_ns();
    raise(SIGINT);
    assert_int_equal(run_to_end(), 0);
    assert_true(clock_mono_ns() - begun_ns < 10 * NS_PER_SEC);
}

static void
test_a_hook_that_raises_ends_the_server(void **state)
{
    (void)state;
    start();
    world.fails = true;
    world.failing = HOOK_PRE_FORK;
    raise(SIGTTIN);
    assert_int_equal(run_to_end(), EXIT_UNHANDLED);
}

static void
test_bad_address_is_a_text_for_the_user(void **state)
{
    (void)state;
    free(world.cfg->bind.items[0]);
    world.cfg->bind.items[0] = mem_strdup("127.0.0.1:http");
    assert_int_equal(arbiter_start(&world.arbiter), -EINVAL);
    assert_string_equal(world.arbiter.error,
                        "'http' is not a valid port number. (bind = '127.0.0.1:http')");
    assert_int_equal(world.arbiter.exit_code, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_start_and_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ttin_and_ttou, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_killed_worker_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failing_first_boot_ends_the_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_application_that_does_not_load_ends_the_server, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_later_boot_failures_do_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_death_at_boot_backs_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_code_that_dies_at_boot_is_forked_ten_times_in_30_seconds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_workers_start_once_one_is_ready, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_booting_worker_that_somebody_kills_is_replaced_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reload_keeps_the_number_of_ready_workers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_reload_with_another_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reloads_that_come_together_are_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failed_reload_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reload_to_an_address_in_use_changes_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_reload_to_code_that_fails_keeps_the_old_workers,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_worker_that_dies_during_a_reload_gets_a_successor_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reload_batch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_worker_that_asks_is_replaced_first, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_workers_that_ask_together_do_not_double_the_load,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_old_worker_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_age_has_its_jitter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_memory_is_judged_by_three_samples, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_memory_of_a_process, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_silence_is_death, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_late_request_is_death_after_a_grace, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_silence_is_no_death_without_a_timeout, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_silent_worker_is_late_however_often_the_arbiter_is,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_workers_are_not_late_after_the_arbiter_was, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_boot_has_a_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_boot_is_not_bound_by_the_timeout, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_boot_is_bound_by_the_timeout_if_so_set, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_boot_has_no_deadline_if_so_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_second_signal_hurries_and_the_deaf_are_killed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_hook_that_raises_ends_the_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_address_is_a_text_for_the_user, set_up, tear_down),
    };
    /* Log lines of the arbiter and its children are not this program's output. */
    if (log_open("/dev/null") < 0) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    log_close();
    return failed;
}
