/* SPDX-License-Identifier: MIT */
/* Which worker gets what another one gives away, and what becomes of a dead worker's mail. */
#include "proc/siblings.h"

#include "base/clock.h"
#include "base/macros.h"
#include "proc/mailboxes.h"
#include "proc/slot.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORKERS = 4 };

struct office {
    struct slots slots;
    struct mailboxes mailboxes;
    struct mailbox source; /* what is given away comes from here */
    struct siblings siblings;
};

static int
set_up(void **state)
{
    struct office *office = test_calloc(1, sizeof(*office));
    assert_int_equal(slots_init(&office->slots, WORKERS), 0);
    mailboxes_init(&office->mailboxes);
    mailboxes_grow(&office->mailboxes, WORKERS, office->slots.count);
    assert_int_equal(mailbox_open(&office->source), 0);
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct slot *slot = slots_take(&office->slots, 1, i);
        assert_int_equal(slot_index(&office->slots, slot), i);
        slot_set_state(slot, SLOT_READY);
        metric_add(&slot->metrics.open_connections, 10 * (i + 1));
    }
    office->siblings = (struct siblings){&office->slots, &office->mailboxes, .self = 0};
    *state = office;
    return 0;
}

static int
tear_down(void **state)
{
    struct office *office = *state;
    mailboxes_fini(&office->mailboxes);
    mailbox_close(&office->source);
    slots_fini(&office->slots);
    test_free(office);
    return 0;
}

static int
put(const struct mailbox *mailbox)
{
    struct iovec iov = {(char *)"mail", 4};
    int fd = STDERR_FILENO;
    return mailbox_send(mailbox->write_fd, &iov, 1, &fd, 1);
}

static int
pass_one(struct office *office)
{
    assert_int_equal(put(&office->source), 0);
    return siblings_forward(&office->siblings, office->source.read_fd);
}

static bool
has_mail(const struct office *office, uint32_t index)
{
    return mailbox_has_mail(office->mailboxes.items[index].read_fd);
}

/* What the worker of the slot does. */
static void
take(struct office *office, uint32_t index)
{
    char bytes[16];
    struct mail_fds fds;
    assert_int_equal(
        mailbox_receive(office->mailboxes.items[index].read_fd, bytes, sizeof(bytes), &fds), 4);
    mail_fds_close(&fds);
    metric_add(&office->slots.items[index].metrics.connections_moved_in, 1);
    metric_add(&office->slots.items[index].metrics.open_connections, 1);
}

static void
test_the_one_with_the_fewest_gets_it(void **state)
{
    struct office *office = *state;
    assert_int_equal(pass_one(office), 0);
    assert_true(has_mail(office, 1));
    take(office, 1);
    office->siblings.self = 1;
    assert_int_equal(pass_one(office), 0);
    assert_true(has_mail(office, 0));
}

/* The receiver may be asleep, and counts nothing. */
static void
test_what_was_sent_counts(void **state)
{
    struct office *office = *state;
    for (int i = 0; i < 15; i++) {
        assert_int_equal(pass_one(office), 0);
    }
    assert_int_equal(slot_mail(&office->slots.items[1]) + slot_mail(&office->slots.items[2]), 15);
    assert_true(slot_mail(&office->slots.items[2]) > 0);
    while (has_mail(office, 1)) {
        take(office, 1);
    }
    assert_int_equal(slot_mail(&office->slots.items[1]), 0);
}

static void
test_only_those_that_serve_get_mail(void **state)
{
    static const enum slot_state NOT_SERVING[] = {SLOT_EMPTY, SLOT_DRAINING};
    struct office *office = *state;
    for (size_t i = 0; i < ARRAY_LEN(NOT_SERVING); i++) {
        slot_set_state(&office->slots.items[1], NOT_SERVING[i]);
        assert_int_equal(pass_one(office), 0);
        assert_false(has_mail(office, 1));
    }
    slot_set_state(&office->slots.items[2], SLOT_DRAINING);
    slot_set_state(&office->slots.items[3], SLOT_DRAINING);
    assert_false(siblings_any(&office->siblings));
    assert_int_equal(pass_one(office), -ENOENT);
}

/* It would have to give it away itself before long. */
static void
test_those_that_retire_or_boot_are_the_last_resort(void **state)
{
    struct office *office = *state;
    slot_set_state(&office->slots.items[1], SLOT_RETIRING);
    assert_int_equal(pass_one(office), 0);
    assert_true(has_mail(office, 2));
    slot_set_state(&office->slots.items[2], SLOT_BOOTING);
    slot_set_state(&office->slots.items[3], SLOT_DRAINING);
    take(office, 2);
    assert_true(siblings_any(&office->siblings));
    assert_int_equal(pass_one(office), 0);
    assert_true(has_mail(office, 1));
    slot_set_state(&office->slots.items[1], SLOT_DRAINING);
    assert_int_equal(pass_one(office), 0);
    assert_true(has_mail(office, 2)); /* it will read it some time */
}

static void
test_a_full_mailbox_is_passed_over(void **state)
{
    struct office *office = *state;
    while (put(&office->mailboxes.items[1]) == 0) {
    }
    assert_int_equal(pass_one(office), 0);
    assert_true(has_mail(office, 2));
    assert_int_equal(slot_mail(&office->slots.items[1]), 0);
    while (put(&office->mailboxes.items[2]) == 0 || put(&office->mailboxes.items[3]) == 0) {
    }
    assert_int_equal(pass_one(office), -EAGAIN);
}

static void
test_who_is_to_end_gets_nothing_more(void **state)
{
    struct office *office = *state;
    slot_set_ending(&office->slots.items[1], SLOT_FINISHES);
    assert_int_equal(pass_one(office), 0);
    assert_false(has_mail(office, 1));
    slot_set_state(&office->slots.items[2], SLOT_BOOTING);
    slot_set_ending(&office->slots.items[2], SLOT_ENDS);
    slot_set_ending(&office->slots.items[3], SLOT_ENDS);
    assert_false(siblings_any(&office->siblings));
    assert_int_equal(pass_one(office), -ENOENT);
}

/* It has nobody else, and nothing is lost as long as there will be somebody. */
static void
test_who_is_to_end_leaves_it_to_one_that_is_to_come(void **state)
{
    struct office *office = *state;
    for (uint32_t i = 1; i < WORKERS; i++) {
        slot_set_state(&office->slots.items[i], SLOT_DRAINING);
    }
    assert_int_equal(pass_one(office), -ENOENT);
    slot_set_ending(&office->slots.items[0], SLOT_FINISHES);
    assert_int_equal(pass_one(office), -ENOENT); /* it has the time to do it itself */
    slot_set_ending(&office->slots.items[0], SLOT_ENDS);
    assert_int_equal(siblings_forward(&office->siblings, office->source.read_fd), 0);
    assert_false(has_mail(office, 0));
    assert_true(has_mail(office, WORKERS));
    assert_non_null(slots_take_at(&office->slots, WORKERS, 1, 9));
    assert_int_equal(slot_mail(&office->slots.items[WORKERS]), 1);
    take(office, WORKERS);
    slot_set_state(&office->slots.items[WORKERS], SLOT_DRAINING);
    while (put(&office->mailboxes.items[WORKERS + 1]) == 0) {
    }
    assert_int_equal(pass_one(office), 0);
    assert_true(has_mail(office, WORKERS + 2)); /* the first one is full */
    slots_set_stopping(&office->slots);
    assert_int_equal(pass_one(office), -ENOENT);
}

static void
test_when_the_server_stops_nobody_takes_anything(void **state)
{
    struct office *office = *state;
    office->siblings.over = true;
    assert_false(siblings_any(&office->siblings));
    office->siblings.over = false;
    assert_true(siblings_any(&office->siblings));
    slots_set_stopping(&office->slots);
    assert_false(siblings_any(&office->siblings));
    assert_int_equal(pass_one(office), -ENOENT);
}

/* --- the arbiter --- */

static void
test_mail_of_a_dead_worker_goes_to_the_living(void **state)
{
    struct office *office = *state;
    struct slot *dead = &office->slots.items[1];
    for (int i = 0; i < 5; i++) {
        assert_int_equal(pass_one(office), 0);
    }
    assert_int_equal(slot_mail(dead), 5);
    mailboxes_forward(&office->mailboxes, &office->slots);
    assert_true(has_mail(office, 1)); /* as long as it lives it is its own */
    slot_release(dead);
    mailboxes_forward(&office->mailboxes, &office->slots);
    assert_false(has_mail(office, 1));
    assert_int_equal(slot_mail(dead), 0);
    assert_int_equal(slot_mail(&office->slots.items[0]), 5);
}

static void
test_without_the_living_it_waits_for_the_successor(void **state)
{
    struct office *office = *state;
    struct slot *dead = &office->slots.items[1];
    assert_int_equal(pass_one(office), 0);
    for (uint32_t i = 0; i < WORKERS; i++) {
        slot_release(&office->slots.items[i]);
    }
    mailboxes_forward(&office->mailboxes, &office->slots);
    assert_true(has_mail(office, 1));
    assert_ptr_equal(slots_take_at(&office->slots, 1, 1, 9), dead);
    assert_null(slots_take_at(&office->slots, 1, 1, 10));
    assert_int_equal(slot_mail(dead), 1);
    take(office, 1);
    assert_int_equal(slot_mail(dead), 0);
}

/* Somebody was killed after it had counted, and before it sent; or between the two of taking. */
static void
test_a_wrong_count_is_put_right(void **state)
{
    struct office *office = *state;
    struct slot *slot = &office->slots.items[1];
    struct mail_count seen = {0};
    int64_t now_ns = NS_PER_SEC;
    assert_int_equal(pass_one(office), 0);
    for (int i = 0; i < 10; i++, now_ns += NS_PER_SEC) {
        mailboxes_settle(&office->mailboxes, &office->slots, 1, &seen, now_ns);
        assert_int_equal(slot_mail(slot), 1); /* its worker may be stopped */
    }
    take(office, 1);
    atomic_fetch_add(&slot->mail_sent, 1);
    mailboxes_settle(&office->mailboxes, &office->slots, 1, &seen, now_ns);
    assert_int_equal(slot_mail(slot), 1); /* it may be about to be sent */
    now_ns += NS_PER_SEC * 5 / 2;
    mailboxes_settle(&office->mailboxes, &office->slots, 1, &seen, now_ns);
    assert_int_equal(slot_mail(slot), 0);
    atomic_fetch_sub(&slot->mail_sent, 1); /* one that was only stopped goes on, and fails */
    assert_int_equal(slot_mail(slot), 0);
    mailboxes_settle(&office->mailboxes, &office->slots, 1, &seen, now_ns);
    now_ns += NS_PER_SEC * 5 / 2;
    mailboxes_settle(&office->mailboxes, &office->slots, 1, &seen, now_ns);
    assert_int_equal(pass_one(office), 0);
    assert_int_equal(slot_mail(slot), 1);
    mailboxes_settle(&office->mailboxes, &office->slots, office->mailboxes.count, &seen, now_ns);
}

static void
test_mail_that_nobody_can_read_does_not_stay(void **state)
{
    struct office *office = *state;
    static char junk[MAILBOX_BYTES_MAX + 1];
    struct iovec iov = {junk, sizeof(junk)};
    int fd = STDERR_FILENO;
    assert_int_equal(mailbox_send(office->mailboxes.items[1].write_fd, &iov, 1, &fd, 1), 0);
    slot_release(&office->slots.items[1]);
    mailboxes_forward(&office->mailboxes, &office->slots);
    assert_false(has_mail(office, 1));
}

static void
test_the_lobby_is_for_those_who_have_nobody_else(void **state)
{
    struct office *office = *state;
    struct mailbox lobby;
    struct siblings nobody = office->siblings;
    nobody.self = SIBLINGS_NOBODY;

    assert_int_equal(mailbox_open(&lobby), 0);
    office->mailboxes.lobby_fd = dup(lobby.write_fd);
    slots_set_stopping(&office->slots);
    assert_false(siblings_any(&nobody));
    slots_set_lobby(&office->slots, true);
    assert_true(siblings_any(&nobody));
    assert_int_equal(put(&office->mailboxes.items[1]), 0);
    assert_int_equal(siblings_forward(&nobody, office->mailboxes.items[1].read_fd), 0);
    assert_true(mailbox_has_mail(lobby.read_fd));
    slots_set_lobby(&office->slots, false);
    assert_false(siblings_any(&nobody));
    mailbox_close(&lobby);
}

static void
test_mailboxes_grow_and_are_bounded(void **state)
{
    struct office *office = *state;
    unsigned before = office->mailboxes.count;
    int fd = office->mailboxes.items[0].read_fd;
    assert_int_equal(before, mailboxes_wanted(WORKERS));
    mailboxes_grow(&office->mailboxes, 1, office->slots.count);
    assert_int_equal(office->mailboxes.count, before);
    mailboxes_grow(&office->mailboxes, 10, office->slots.count);
    assert_int_equal(office->mailboxes.count, mailboxes_wanted(10));
    assert_int_equal(office->mailboxes.items[0].read_fd, fd);
    assert_int_equal(mailboxes_wanted(INT64_MAX), MAILBOXES_MAX);
    mailboxes_grow(&office->mailboxes, 100, 30);
    assert_int_equal(office->mailboxes.count, 30);
}

static void
test_a_worker_keeps_what_it_needs(void **state)
{
    struct office *office = *state;
    mailboxes_become(&office->mailboxes, 2);
    for (unsigned i = 0; i < office->mailboxes.count; i++) {
        assert_int_equal(office->mailboxes.items[i].read_fd >= 0, i == 2);
        assert_int_equal(office->mailboxes.items[i].write_fd >= 0, i != 2);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_one_with_the_fewest_gets_it),
        TEST(test_what_was_sent_counts),
        TEST(test_only_those_that_serve_get_mail),
        TEST(test_those_that_retire_or_boot_are_the_last_resort),
        TEST(test_a_full_mailbox_is_passed_over),
        TEST(test_who_is_to_end_gets_nothing_more),
        TEST(test_who_is_to_end_leaves_it_to_one_that_is_to_come),
        TEST(test_when_the_server_stops_nobody_takes_anything),
        TEST(test_mail_of_a_dead_worker_goes_to_the_living),
        TEST(test_without_the_living_it_waits_for_the_successor),
        TEST(test_a_wrong_count_is_put_right),
        TEST(test_mail_that_nobody_can_read_does_not_stay),
        TEST(test_the_lobby_is_for_those_who_have_nobody_else),
        TEST(test_mailboxes_grow_and_are_bounded),
        TEST(test_a_worker_keeps_what_it_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
