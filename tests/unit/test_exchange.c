/* SPDX-License-Identifier: MIT */
/* What workers say to each other through their slots; what they give each other is tested with real
 * processes (tests/integration/test_balance.py). */
#include "proc/exchange.h"

#include "app/inline.h"
#include "proc/mailboxes.h"
#include "proc/siblings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { WORKERS = 3 };

/* Worker 0, with two siblings. */
struct fixture {
    struct slots slots;
    struct mailboxes mailboxes;
    struct siblings siblings;
    struct inline_executor executor;
    struct exchange exchange;
};

static int
set_up(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof(f));
    assert_int_equal(slots_init(&f.slots, WORKERS), 0);
    mailboxes_grow(&f.mailboxes, WORKERS, f.slots.count);
    f.siblings = (struct siblings){.slots = &f.slots, .mailboxes = &f.mailboxes, .self = 0};
    for (unsigned i = 0; i < WORKERS; i++) {
        struct slot *slot = slots_take(&f.slots, 1, i + 1);
        assert_non_null(slot);
        slot_set_state(slot, SLOT_READY);
    }
    list_init(&f.executor.ready);
    exchange_init(&f.exchange, &f.siblings, &f.executor);
    *state = &f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;
    mailboxes_fini(&f->mailboxes);
    slots_fini(&f->slots);
    return 0;
}

static void
check_nudged(const struct fixture *f, unsigned worker, bool nudged)
{
    assert_int_equal(mailbox_has_mail(f->mailboxes.items[worker].read_fd), nudged);
}

static void
wait_since(struct fixture *f, unsigned worker, int64_t since_ns)
{
    atomic_store(&f->slots.items[worker].waiting_since_ns, since_ns);
    atomic_store(&f->slots.common->any_waiting, 1);
}

static void
test_time_is_offered_while_a_worker_sleeps(void **state)
{
    struct fixture *f = *state;
    struct slot *self = &f->slots.items[0];
    exchange_rest(&f->exchange);
    assert_int_equal(atomic_load(&self->offer), SLOT_OFFERS_TIME);
    exchange_wake(&f->exchange);
    assert_int_equal(atomic_load(&self->offer), SLOT_OFFERS_NOTHING);
    static const enum slot_state NOT[] = {SLOT_RETIRING, SLOT_DRAINING};
    for (size_t i = 0; i < ARRAY_LEN(NOT); i++) {
        slot_set_state(self, NOT[i]);
        exchange_rest(&f->exchange);
        assert_int_equal(atomic_load(&self->offer), SLOT_OFFERS_NOTHING);
    }
}

static void
test_a_claim_ends_with_the_sleep(void **state)
{
    struct fixture *f = *state;
    struct slot *self = &f->slots.items[0];
    exchange_rest(&f->exchange);
    atomic_store(&self->offer, SLOT_IS_CLAIMED); /* by one that died before it sent anything */
    exchange_wake(&f->exchange);
    exchange_rest(&f->exchange);
    assert_int_equal(atomic_load(&self->offer), SLOT_OFFERS_TIME);
}

static void
test_the_one_that_waits_longest_is_nudged_once(void **state)
{
    struct fixture *f = *state;
    wait_since(f, 1, 2000);
    wait_since(f, 2, 1000);
    exchange_rest(&f->exchange);
    check_nudged(f, 1, false);
    check_nudged(f, 2, true);

    char byte;
    struct mail_fds fds;
    int fd = f->mailboxes.items[2].read_fd;
    assert_int_equal(mailbox_receive(fd, &byte, sizeof(byte), &fds), MAILBOX_NUDGE_BYTES);
    exchange_rest(&f->exchange);
    check_nudged(f, 2, false); /* it has not looked yet */
    atomic_store(&f->slots.items[2].nudged, 0);
    exchange_rest(&f->exchange);
    check_nudged(f, 2, true);
}

static void
test_a_hint_that_leads_nowhere_is_withdrawn(void **state)
{
    struct fixture *f = *state;
    wait_since(f, 1, 1000);
    slot_release(&f->slots.items[1]); /* it died */
    exchange_rest(&f->exchange);
    assert_int_equal(atomic_load(&f->slots.common->any_waiting), 0);
    check_nudged(f, 1, false);
}

static void
test_nothing_waits_any_more(void **state)
{
    struct fixture *f = *state;
    struct slot *self = &f->slots.items[0];
    assert_false(exchange_spread(&f->exchange));
    atomic_store(&self->waiting_since_ns, 1000);
    f->exchange.waiting = true;
    assert_false(exchange_spread(&f->exchange));
    assert_int_equal(atomic_load(&self->waiting_since_ns), 0);
}

static void
test_a_nudge_is_not_forwarded(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(siblings_nudge(&f->siblings, 1), 0);
    slot_release(&f->slots.items[1]);
    mailboxes_forward(&f->mailboxes, &f->slots);
    for (unsigned i = 0; i < WORKERS; i++) {
        check_nudged(f, i, false);
        assert_int_equal(slot_connections(&f->slots.items[i]), 0);
    }
}

static void
test_the_sibling_with_the_fewest(void **state)
{
    struct fixture *f = *state;
    uint32_t index;
    metric_add(&f->slots.items[1].metrics.open_connections, 3);
    atomic_fetch_add(&f->slots.items[2].mail_sent, 2); /* on their way */
    assert_true(siblings_fewest(&f->siblings, &index));
    assert_int_equal(index, 2);
    atomic_fetch_add(&f->slots.items[2].mail_sent, 2);
    assert_true(siblings_fewest(&f->siblings, &index));
    assert_int_equal(index, 1);
    slot_set_state(&f->slots.items[1], SLOT_RETIRING);
    assert_true(siblings_fewest(&f->siblings, &index));
    assert_int_equal(index, 2);
    slot_set_state(&f->slots.items[2], SLOT_DRAINING);
    assert_false(siblings_fewest(&f->siblings, &index));
}

#define EXCHANGE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        EXCHANGE_TEST(test_time_is_offered_while_a_worker_sleeps),
        EXCHANGE_TEST(test_a_claim_ends_with_the_sleep),
        EXCHANGE_TEST(test_the_one_that_waits_longest_is_nudged_once),
        EXCHANGE_TEST(test_a_hint_that_leads_nowhere_is_withdrawn),
        EXCHANGE_TEST(test_nothing_waits_any_more),
        EXCHANGE_TEST(test_a_nudge_is_not_forwarded),
        EXCHANGE_TEST(test_the_sibling_with_the_fewest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
