/* SPDX-License-Identifier: MIT */
#include "proc/slot.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { READ_ATTEMPTS = 100 };

int
slots_init(struct slots *slots, size_t workers)
{
    size_t count = MAX_OF((size_t)SLOT_COUNT_MIN, 4 * workers + 64);
    size_t bytes = sizeof(struct slots_common) + count * sizeof(struct slot);
    /* A mapping of its own, so that the kernel hands out (and zeroes) only the pages in use. */
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return -errno;
    }
    struct slots_common *common = memory;
    *slots = (struct slots){common, (struct slot *)(common + 1), count};
    return 0;
}

void
slots_fini(struct slots *slots)
{
    if (slots->common) {
        munmap(slots->common, sizeof(struct slots_common) + slots->count * sizeof(struct slot));
    }
    *slots = (struct slots){NULL, NULL, 0};
}

void
slots_set_stopping(struct slots *slots)
{
    atomic_store(&slots->common->stopping, 1);
}

bool
slots_stopping(const struct slots *slots)
{
    return atomic_load_explicit(&slots->common->stopping, memory_order_acquire) != 0;
}

void
slots_set_lobby(struct slots *slots, bool open)
{
    atomic_store(&slots->common->lobby, open);
}

bool
slots_lobby(const struct slots *slots)
{
    return atomic_load(&slots->common->lobby) != 0;
}

/* But for its mail, which waits for the next worker. */
static void
slot_clear(struct slot *slot)
{
    uint32_t mail = slot_mail(slot);
    /* Its worker is dead, or not born. */
    memset((void *)slot, 0, sizeof(*slot));
    atomic_store(&slot->mail_sent, mail);
}

struct slot *
slots_take_at(struct slots *slots, size_t index, uint32_t generation, uint32_t age)
{
    struct slot *slot = &slots->items[index];
    if (slot_state(slot) != SLOT_EMPTY) {
        return NULL;
    }
    slot_clear(slot);
    atomic_store(&slot->generation, generation);
    atomic_store(&slot->age, age);
    slot_set_state(slot, SLOT_BOOTING);
    return slot;
}

struct slot *
slots_take(struct slots *slots, uint32_t generation, uint32_t age)
{
    for (size_t i = 0; i < slots->count; i++) {
        struct slot *slot = slots_take_at(slots, i, generation, age);
        if (slot) {
            return slot;
        }
    }
    return NULL;
}

void
slot_release(struct slot *slot)
{
    slot_clear(slot);
}

const char *
slot_state_name(enum slot_state state)
{
    static const char *const names[] = {
#define SLOT_STATE_TEXT(name, text) [SLOT_##name] = (text),
        SLOT_STATES(SLOT_STATE_TEXT)
#undef SLOT_STATE_TEXT
    };
    return (size_t)state < ARRAY_LEN(names) ? names[state] : "unknown";
}

static size_t
copy_cut(char *out, size_t max, struct span text)
{
    size_t n = MIN_OF(max, text.n);
    if (n > 0) {
        memcpy(out, text.p, n);
    }
    return n;
}

void
slot_request_begin(struct slot *slot, struct span method, struct span uri, struct span peer,
                   int64_t now_ns)
{
    struct slot_request *r = &slot->request;
    uint32_t sequence = atomic_load_explicit(&r->sequence, memory_order_relaxed);

    atomic_store_explicit(&r->sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    r->method_len = (uint8_t)copy_cut(r->method, sizeof(r->method), method);
    r->uri_len = (uint16_t)copy_cut(r->uri, sizeof(r->uri), uri);
    r->peer_len = (uint8_t)copy_cut(r->peer, sizeof(r->peer), peer);
    atomic_store_explicit(&r->started_ns, now_ns, memory_order_relaxed);
    atomic_store_explicit(&r->active, 1, memory_order_relaxed);
    atomic_store_explicit(&r->sequence, sequence + 2, memory_order_release);
}

/* The lengths come from a process that may have gone mad: trust none of them. */
static void
copy_text(char *out, size_t max, const char *text, size_t n)
{
    n = MIN_OF(max, n);
    memcpy(out, text, n);
    out[n] = '\0';
}

bool
slot_request_read(const struct slot *slot, struct slot_request_view *ret_view)
{
    const struct slot_request *r = &slot->request;
    struct slot_request_view view;

    for (int i = 0; i < READ_ATTEMPTS; i++) {
        uint32_t before = atomic_load_explicit(&r->sequence, memory_order_acquire);
        if (atomic_load_explicit(&r->active, memory_order_relaxed) == 0) {
            return false;
        }
        view.started_ns = atomic_load_explicit(&r->started_ns, memory_order_relaxed);
        copy_text(view.method, sizeof(r->method), r->method, r->method_len);
        copy_text(view.peer, sizeof(r->peer), r->peer, r->peer_len);
        copy_text(view.uri, sizeof(r->uri), r->uri, r->uri_len);
        atomic_thread_fence(memory_order_acquire);
        uint32_t after = atomic_load_explicit(&r->sequence, memory_order_relaxed);
        if (before == after && before % 2 == 0) {
            *ret_view = view;
            return true;
        }
    }
    return false;
}
