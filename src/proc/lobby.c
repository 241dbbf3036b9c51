/* SPDX-License-Identifier: MIT */
#include "proc/lobby.h"

#include "base/fd.h"
#include "base/mem.h"
#include "base/num.h"
#include "http/h1_message.h"
#include "log/log.h"
#include "proc/arbiter.h"
#include "proc/siblings.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

void
lobby_init(struct arbiter *a)
{
    a->lobby = (struct lobby){.read_fd = -1, .inherited_fd = -1};
}

void
lobby_fini(struct arbiter *a)
{
    fd_close(&a->lobby.read_fd);
    fd_close(&a->lobby.inherited_fd);
}

/* Only of the arbiter that has executed this one: a number that is left over from somewhere could
 * be that of any file. */
static void
inherit(struct arbiter *a)
{
    const char *text = getenv(LOBBY_VARIABLE);
    uint64_t fd = 0;
    int type = 0;
    socklen_t length = sizeof(type);

    if (a->predecessor_pid == 0 || !text || num_from_dec(span_str(text), &fd) < 0 || fd > INT_MAX) {
        return;
    }
    if (getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET &&
        fd_set_cloexec((int)fd, true) == 0) {
        a->lobby.inherited_fd = (int)fd;
    }
}

int
lobby_open(struct arbiter *a)
{
    struct mailbox mailbox;
    int rc = mailbox_open(&mailbox);
    if (rc < 0) {
        return rc;
    }
    a->lobby.read_fd = mailbox.read_fd;
    a->mailboxes.lobby_fd = mailbox.write_fd;
    inherit(a);
    return 0;
}

char *
lobby_bequeath(const struct arbiter *a)
{
    if (a->lobby.read_fd < 0 || fd_set_cloexec(a->lobby.read_fd, false) < 0) {
        return NULL;
    }
    return mem_printf("%s=%d", LOBBY_VARIABLE, a->lobby.read_fd);
}

void
lobby_become_worker(struct arbiter *a)
{
    lobby_fini(a);
}

/* --- with the predecessor --- */

static void
announce(struct arbiter *a)
{
    uint32_t version = H1_MESSAGE_VERSION;
    a->lobby.announced = true;
    /* If it does not get there the connections are closed, as ever. */
    (void)!send(a->lobby.inherited_fd, &version, sizeof(version), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Whether nobody is left who could send. */
static bool
is_over(int fd)
{
    char byte;
    return recv(fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* Passes on all that waits, as long as somebody takes it. */
static void
forward(struct arbiter *a, int fd)
{
    struct siblings siblings = {
        .slots = &a->slots, .mailboxes = &a->mailboxes, .self = SIBLINGS_NOBODY};
    int rc = 0;
    while (!is_over(fd) && mailbox_has_mail(fd) && (rc == 0 || rc == -EBADMSG)) {
        rc = siblings_forward(&siblings, fd);
    }
    a->lobby.stuck = rc < 0 && rc != -EBADMSG;
}

static void
look_at_predecessor(struct arbiter *a)
{
    struct lobby *lobby = &a->lobby;
    if (lobby->inherited_fd < 0) {
        return;
    }
    if (!lobby->announced && a->ever_ready) {
        announce(a);
    }
    forward(a, lobby->inherited_fd);
    if (is_over(lobby->inherited_fd)) {
        fd_close(&lobby->inherited_fd);
    }
}

/* --- with the successor --- */

/* The newest answer; 0: there is none. */
static uint32_t
take_answer(const struct arbiter *a)
{
    uint32_t version = 0;
    uint32_t answer = 0;
    int fd = a->mailboxes.lobby_fd;
    while (fd >= 0 && recv(fd, &version, sizeof(version), MSG_DONTWAIT) == sizeof(version)) {
        answer = version;
    }
    return answer;
}

void
lobby_expect(struct arbiter *a)
{
    take_answer(a);
    a->lobby.answered = false;
}

static void
look_for_answer(struct arbiter *a)
{
    uint32_t version = take_answer(a);
    if (version != 0) {
        a->lobby.answered = true;
        slots_set_lobby(&a->slots, version == H1_MESSAGE_VERSION);
    }
}

static void
look_at_successor(struct arbiter *a)
{
    struct lobby *lobby = &a->lobby;
    if (a->successor_pid != 0 && !lobby->answered) {
        look_for_answer(a);
    }
    if (a->successor_pid == 0 && slots_lobby(&a->slots)) {
        slots_set_lobby(&a->slots, false);
        lobby->left = true;
    }
    if (lobby->left) {
        forward(a, lobby->read_fd);
        /* As long as there is no other: a worker may have looked at the slots just before. */
        lobby->left = lobby->stuck || a->successor_pid == 0;
    }
}

void
lobby_look(struct arbiter *a)
{
    look_at_predecessor(a);
    look_at_successor(a);
}

int
lobby_answer_fd(const struct arbiter *a)
{
    bool awaited = a->successor_pid != 0 && !a->lobby.answered;
    return awaited ? a->mailboxes.lobby_fd : -1;
}

int
lobby_mail_fd(const struct arbiter *a)
{
    if (a->lobby.stuck) {
        return -1;
    }
    return a->lobby.left ? a->lobby.read_fd : a->lobby.inherited_fd;
}
