/* SPDX-License-Identifier: MIT */
#include "proc/slot.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void
test_slots_are_taken_and_released(void **state)
{
    (void)state;
    struct slots slots;
    assert_int_equal(slots_init(&slots, 2), 0);
    assert_int_equal(slots.count, SLOT_COUNT_MIN);

    struct slot *first = slots_take(&slots, 7, 1);
    struct slot *second = slots_take(&slots, 7, 2);
    assert_non_null(first);
    assert_ptr_not_equal(first, second);
    assert_int_equal(slot_state(first), SLOT_BOOTING);
    assert_int_equal(first->generation, 7);
    assert_int_equal(second->age, 2);

    metric_add(&first->metrics.requests, 3);
    slot_release(first);
    assert_int_equal(slot_state(first), SLOT_EMPTY);
    assert_ptr_equal(slots_take(&slots, 8, 3), first);
    assert_int_equal(metric_read(&first->metrics.requests), 0);
    slots_fini(&slots);
}

static void
test_slots_run_out(void **state)
{
    (void)state;
    struct slots slots;
    assert_int_equal(slots_init(&slots, 1000), 0);
    assert_int_equal(slots.count, 4064);
    for (size_t i = 0; i < slots.count; i++) {
        assert_non_null(slots_take(&slots, 1, (uint32_t)i));
    }
    assert_null(slots_take(&slots, 1, 0));
    slots_fini(&slots);
}

static void
test_a_child_writes_and_the_parent_reads(void **state)
{
    (void)state;
    struct slots slots;
    assert_int_equal(slots_init(&slots, 1), 0);
    struct slot *slot = slots_take(&slots, 1, 1);
    assert_non_null(slot);

    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        slot_set_state(slot, SLOT_RETIRING);
        slot_heartbeat(slot, 42);
        metric_add(&slot->metrics.open_connections, 2);
        metric_subtract(&slot->metrics.open_connections, 1);
        slot_request_begin(slot, SPAN("GET"), SPAN("/x?y"), SPAN("127.0.0.1"), 5);
        memcpy(slot->panic, "oh", 3);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(slot_state(slot), SLOT_RETIRING);
    assert_int_equal(slot_last_heartbeat(slot), 42);
    assert_int_equal(metric_read(&slot->metrics.open_connections), 1);
    assert_string_equal(slot->panic, "oh");

    struct slot_request_view view;
    assert_true(slot_request_read(slot, &view));
    assert_string_equal(view.method, "GET");
    assert_string_equal(view.uri, "/x?y");
    assert_string_equal(view.peer, "127.0.0.1");
    assert_int_equal(view.started_ns, 5);
    slots_fini(&slots);
}

static void
test_requests_are_cut_and_end(void **state)
{
    (void)state;
    struct slots slots;
    assert_int_equal(slots_init(&slots, 1), 0);
    struct slot *slot = slots_take(&slots, 1, 1);
    assert_non_null(slot);
    struct slot_request_view view;
    assert_false(slot_request_read(slot, &view));

    char uri[SLOT_URI_MAX + 100];
    memset(uri, 'u', sizeof(uri));
    slot_request_begin(slot, SPAN("POST"), span_of(uri, sizeof(uri)), span_of(NULL, 0), 1);
    assert_true(slot_request_read(slot, &view));
    assert_int_equal(strlen(view.uri), SLOT_URI_MAX);
    assert_string_equal(view.peer, "");

    slot_request_end(slot);
    assert_false(slot_request_read(slot, &view));
    slots_fini(&slots);
}

static void
test_a_record_that_was_cut_short_is_not_believed(void **state)
{
    (void)state;
    struct slots slots;
    assert_int_equal(slots_init(&slots, 1), 0);
    struct slot *slot = slots_take(&slots, 1, 1);
    assert_non_null(slot);
    struct slot_request_view view;

    slot_request_begin(slot, SPAN("GET"), SPAN("/"), SPAN(""), 1);
    slot->request.uri_len = UINT16_MAX;
    slot->request.method_len = UINT8_MAX;
    assert_true(slot_request_read(slot, &view));
    assert_in_range(strlen(view.method), 0, SLOT_METHOD_MAX);
    atomic_fetch_add(&slot->request.sequence, 1);
    assert_false(slot_request_read(slot, &view));
    slots_fini(&slots);
}

static void
test_state_names(void **state)
{
    (void)state;
    assert_string_equal(slot_state_name(SLOT_EMPTY), "empty");
    assert_string_equal(slot_state_name(SLOT_DRAINING), "draining");
    assert_string_equal(slot_state_name((enum slot_state)99), "unknown");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_are_taken_and_released),
        cmocka_unit_test(test_slots_run_out),
        cmocka_unit_test(test_a_child_writes_and_the_parent_reads),
        cmocka_unit_test(test_requests_are_cut_and_end),
        cmocka_unit_test(test_a_record_that_was_cut_short_is_not_believed),
        cmocka_unit_test(test_state_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
