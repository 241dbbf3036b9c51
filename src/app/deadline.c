/* SPDX-License-Identifier: MIT */
#include "app/deadline.h"

#include "base/clock.h"

#include <limits.h>
#include <signal.h>

void
deadline_init(struct deadline *deadline, _Atomic int64_t *at_ns, int64_t timeout_ns,
              int signal_number)
{
    *deadline = (struct deadline){
        .at_ns = at_ns,
        .timeout_ns = timeout_ns,
        .signal_number = signal_number,
        .thread = pthread_self(),
    };
}

void
deadline_begin(struct deadline *deadline, int64_t now_ns)
{
    deadline->begun_ns = now_ns;
    atomic_store(deadline->at_ns, now_ns + deadline->timeout_ns);
}

void
deadline_end(struct deadline *deadline)
{
    atomic_store(deadline->at_ns, 0);
}

void
deadline_extend(struct deadline *deadline, int64_t now_ns, int64_t duration_ns)
{
    int64_t at_ns = atomic_load(deadline->at_ns);
    int64_t later_ns = now_ns + duration_ns;
    while (at_ns != 0 && at_ns < later_ns &&
           !atomic_compare_exchange_weak(deadline->at_ns, &at_ns, later_ns)) {
    }
}

bool
deadline_take(struct deadline *deadline, int64_t now_ns)
{
    int64_t at_ns = atomic_load(deadline->at_ns);
    if (at_ns == 0 || now_ns < at_ns || at_ns == deadline->taken_ns) {
        return false;
    }
    deadline->taken_ns = at_ns;
    return true;
}

int
deadline_look(struct deadline *deadline, int64_t now_ns)
{
    if (!deadline_is_on(deadline)) {
        return INT_MAX;
    }
    int64_t at_ns = atomic_load(deadline->at_ns);
    if (at_ns == 0 || at_ns == deadline->signalled_ns) {
        return INT_MAX; /* whoever waits wakes up now and then, and sees a new one */
    }
    if (now_ns < at_ns) {
        int64_t ms = (at_ns - now_ns) / NS_PER_MS + 1;
        return ms < INT_MAX ? (int)ms : INT_MAX;
    }
    deadline->signalled_ns = at_ns;
    pthread_kill(deadline->thread, deadline->signal_number);
    return INT_MAX;
}
