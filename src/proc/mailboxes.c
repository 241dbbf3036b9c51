/* SPDX-License-Identifier: MIT */
#include "proc/mailboxes.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "log/log.h"
#include "proc/siblings.h"
#include "proc/slot.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { SPARE = 8 };

/* Nobody is so long between counting and sending, or between taking and counting; and if somebody
 * is, because it was stopped there, the count is put right again afterwards. */
static const int64_t SETTLED_NS = 2 * NS_PER_SEC;

unsigned
mailboxes_wanted(int64_t workers)
{
    return workers < MAILBOXES_MAX / 2 ? (unsigned)MIN_OF(2 * workers + SPARE, MAILBOXES_MAX)
                                       : MAILBOXES_MAX;
}

void
mailboxes_init(struct mailboxes *mailboxes)
{
    *mailboxes = (struct mailboxes){.lobby_fd = -1};
}

void
mailboxes_grow(struct mailboxes *mailboxes, int64_t workers, size_t slot_count)
{
    unsigned wanted = MIN_OF(mailboxes_wanted(workers), (unsigned)slot_count);
    if (wanted <= mailboxes->count) {
        return;
    }
    mailboxes->items = mem_realloc(mailboxes->items, wanted * sizeof(*mailboxes->items));
    while (mailboxes->count < wanted) {
        int rc = mailbox_open(&mailboxes->items[mailboxes->count]);
        if (rc < 0) {
            log_warning("Can't make a mailbox for worker %u: %s", mailboxes->count + 1,
                        strerror(-rc));
            return;
        }
        mailboxes->count++;
    }
}

void
mailboxes_fini(struct mailboxes *mailboxes)
{
    for (unsigned i = 0; i < mailboxes->count; i++) {
        mailbox_close(&mailboxes->items[i]);
    }
    free(mailboxes->items);
    fd_close(&mailboxes->lobby_fd);
    mailboxes_init(mailboxes);
}

void
mailboxes_become(struct mailboxes *mailboxes, size_t own)
{
    for (unsigned i = 0; i < mailboxes->count; i++) {
        struct mailbox *mailbox = &mailboxes->items[i];
        fd_close(i == own ? &mailbox->write_fd : &mailbox->read_fd);
    }
}

/* Everything that waits in one mailbox, as long as somebody takes it. */
static void
forward(const struct siblings *siblings, unsigned from)
{
    int fd = siblings->mailboxes->items[from].read_fd;
    while (mailbox_has_mail(fd)) {
        int rc = siblings_forward(siblings, fd);
        if (rc == -EBADMSG) {
            log_error("A worker has left a message that nobody can read.");
        } else if (rc < 0 && rc != -ENOMSG) {
            return;
        }
    }
    atomic_store(&siblings->slots->items[from].mail_sent, 0);
}

void
mailboxes_forward(const struct mailboxes *mailboxes, struct slots *slots)
{
    struct siblings siblings = {.slots = slots, .mailboxes = mailboxes, .self = SIBLINGS_NOBODY};
    struct pollfd pollfds[MAILBOXES_MAX];
    for (unsigned i = 0; i < mailboxes->count; i++) {
        bool empty = slot_state(&slots->items[i]) == SLOT_EMPTY;
        pollfds[i] = (struct pollfd){
            .fd = empty ? mailboxes->items[i].read_fd : -1, /* -1 is passed over */
            .events = POLLIN,
        };
    }
    int n = poll(pollfds, mailboxes->count, 0);
    for (unsigned i = 0; i < mailboxes->count && n > 0; i++) {
        if (pollfds[i].fd >= 0 && pollfds[i].revents != 0) {
            forward(&siblings, i);
        }
    }
}

void
mailboxes_settle(const struct mailboxes *mailboxes, struct slots *slots, size_t index,
                 struct mail_count *seen, int64_t now_ns)
{
    if (index >= mailboxes->count) {
        return;
    }
    struct slot *slot = &slots->items[index];
    uint32_t sent = atomic_load(&slot->mail_sent);
    uint32_t taken = (uint32_t)metric_read(&slot->metrics.connections_moved_in);
    bool same = sent == seen->sent && taken == seen->taken;
    if (sent == taken || !same || mailbox_has_mail(mailboxes->items[index].read_fd)) {
        *seen = (struct mail_count){sent, taken, now_ns};
    } else if (now_ns - seen->since_ns >= SETTLED_NS) {
        (void)atomic_compare_exchange_strong(&slot->mail_sent, &sent, taken);
    }
}
