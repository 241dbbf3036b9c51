/* SPDX-License-Identifier: MIT */
#include "proc/exchange.h"

#include "app/inline.h"
#include "http/request.h"
#include "log/metrics.h"
#include "net/conn.h"
#include "proc/mailboxes.h"
#include "proc/siblings.h"

#include <errno.h>

/* A connection is moved if that leaves its worker with no fewer than the other one has then. */
enum { PLACE_DIFFERENCE = 2 };

void
exchange_init(struct exchange *exchange, const struct siblings *siblings,
              struct inline_executor *executor)
{
    *exchange = (struct exchange){
        .siblings = siblings,
        .common = siblings->slots->common,
        .self = &siblings->slots->items[siblings->self],
        .executor = executor,
    };
}

/* --- new connections --- */

void
exchange_place(struct exchange *exchange, struct conn *conn)
{
    const struct siblings *siblings = exchange->siblings;
    uint32_t to;
    if (!slot_goes_on(exchange->self) || !siblings_fewest(siblings, &to)) {
        return;
    }
    uint64_t theirs = slot_connections(&siblings->slots->items[to]);
    if (metric_read(&exchange->self->metrics.open_connections) >= theirs + PLACE_DIFFERENCE) {
        int rc = siblings_give(siblings, to, conn);
        (void)rc; /* then it stays */
    }
}

/* --- requests that wait --- */

static bool
claim(struct slot *slot)
{
    uint32_t offer = atomic_load_explicit(&slot->offer, memory_order_relaxed);
    return offer == SLOT_OFFERS_TIME && slot_goes_on(slot) &&
           atomic_compare_exchange_strong(&slot->offer, &offer, SLOT_IS_CLAIMED);
}

static void
disclaim(struct slot *slot)
{
    uint32_t offer = SLOT_IS_CLAIMED;
    (void)atomic_compare_exchange_strong(&slot->offer, &offer, SLOT_OFFERS_TIME);
}

/* A sibling that has nothing to do, and is ours for one request; or SIBLINGS_NOBODY. */
static uint32_t
claim_sibling(const struct siblings *siblings)
{
    uint32_t count = siblings->mailboxes->count;
    /* From the one after its own, so that not all workers try the same one first. */
    for (uint32_t i = 1; i < count; i++) {
        uint32_t index = (siblings->self + i) % count;
        if (claim(&siblings->slots->items[index])) {
            return index;
        }
    }
    return SIBLINGS_NOBODY;
}

struct giving {
    const struct siblings *siblings;
    int64_t waiting_since_ns; /* of the first request that nobody had time for; 0: none */
};

/* For inline_executor_offer(). */
static int
give_to_idle(void *context, struct request *request)
{
    struct giving *giving = context;
    if (giving->waiting_since_ns > 0) {
        return -EBUSY; /* it is not this one's turn */
    }
    uint32_t to = claim_sibling(giving->siblings);
    if (to == SIBLINGS_NOBODY) {
        giving->waiting_since_ns = request->start_ns;
        return -EBUSY;
    }
    int rc = siblings_give_request(giving->siblings, to, request);
    if (rc < 0) {
        disclaim(&giving->siblings->slots->items[to]); /* its connection cannot be moved now */
    }
    return rc;
}

/* Gives requests away, the oldest first, while anybody has time for them. Returns since when the
 * first of those waits that are left for want of time; 0: there is none. */
static int64_t
give_away(struct exchange *exchange)
{
    struct giving giving = {.siblings = exchange->siblings};
    inline_executor_offer(exchange->executor, give_to_idle, &giving);
    return giving.waiting_since_ns;
}

static void
say(struct exchange *exchange, int64_t waiting_since_ns)
{
    exchange->waiting = waiting_since_ns > 0;
    atomic_store(&exchange->self->waiting_since_ns, waiting_since_ns);
    if (exchange->waiting) {
        atomic_store(&exchange->common->any_waiting, 1);
    }
}

bool
exchange_spread(struct exchange *exchange)
{
    if (list_empty(&exchange->executor->ready) && !exchange->waiting) {
        return false;
    }
    atomic_store_explicit(&exchange->self->nudged, 0, memory_order_relaxed);
    int64_t since_ns = give_away(exchange);
    if (since_ns > 0) {
        /* One that offers its time after this will see that something waits. */
        say(exchange, since_ns);
        since_ns = give_away(exchange);
    }
    say(exchange, since_ns);
    return exchange->waiting;
}

/* Which sibling has the request that has waited longest; or SIBLINGS_NOBODY. */
static uint32_t
longest_waiting(const struct siblings *siblings)
{
    uint32_t found = SIBLINGS_NOBODY;
    int64_t longest_ns = INT64_MAX;
    for (uint32_t i = 0; i < siblings->mailboxes->count; i++) {
        int64_t since_ns = atomic_load(&siblings->slots->items[i].waiting_since_ns);
        if (i != siblings->self && since_ns > 0 && since_ns < longest_ns) {
            longest_ns = since_ns;
            found = i;
        }
    }
    return found;
}

void
exchange_ask(struct exchange *exchange)
{
    const struct siblings *siblings = exchange->siblings;
    uint32_t index = longest_waiting(siblings);
    if (index == SIBLINGS_NOBODY) {
        atomic_store(&exchange->common->any_waiting, 0);
        index = longest_waiting(siblings); /* one may have begun to wait meanwhile */
        if (index == SIBLINGS_NOBODY) {
            return;
        }
        atomic_store(&exchange->common->any_waiting, 1);
    }
    struct slot *slot = &siblings->slots->items[index];
    if (atomic_exchange(&slot->nudged, 1) == 0 && siblings_nudge(siblings, index) < 0) {
        atomic_store(&slot->nudged, 0);
    }
}
