/* SPDX-License-Identifier: MIT */
#include "proc/stacks_answer.h"

#include "base/clock.h"
#include "base/fd.h"
#include "log/log.h"
#include "net/mailbox.h"
#include "proc/arbiter.h"
#include "proc/manage.h"
#include "proc/obituary.h"
#include "proc/signals.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_MAX_BYTES = 16 * 1024 * 1024 };

void
stacks_answer_init(struct stacks_answer *answer)
{
    *answer = (struct stacks_answer){.open = false};
    buf_init(&answer->text, ANSWER_MAX_BYTES);
}

void
stacks_answer_fini(struct stacks_answer *answer)
{
    buf_fini(&answer->text);
}

size_t
stacks_answer_name(char out[STACKS_NAME_MAX], pid_t pid, int key)
{
    int n = snprintf(out, STACKS_NAME_MAX, "saola-stacks-%d-%d", (int)pid, key);
    return (size_t)n;
}

void
stacks_answer_begin(struct arbiter *a, const struct signals_sender *sender)
{
    struct stacks_answer *answer = &a->answer;
    if (sender->pid == 0 || !sender->queued) {
        answer->for_log = true;
    } else if (answer->count < STACKS_ASKERS_MAX) {
        answer->askers[answer->count++] = (struct stacks_asker){sender->pid, sender->value};
    } else {
        return;
    }
    int64_t now_ns = clock_mono_ns();
    for (EACH_CHILD(a, node, next)) {
        struct child *child = child_at(node);
        if (!answer->open) { /* who comes later gets what the first one gets */
            child->stacks.for_answer = true;
            stacks_ask(child, now_ns);
        }
    }
    answer->open = true;
}

void
stacks_answer_add(struct arbiter *a, const struct child *child, const char *text,
                  const char *silence)
{
    struct buf *out = &a->answer.text;
    char request[OBITUARY_REQUEST_BYTES];
    bool busy = obituary_describe_request(child, request, sizeof(request)) != NULL;
    enum slot_state state = slot_state(child->slot);
    bool waits = !busy && state == SLOT_READY;
    /* A full buffer: the rest is missing. */
    (void)!buf_printf(out, "Worker (pid:%d) is %s%s%s\n%s%s%s\n", (int)child->pid,
                      busy    ? "busy: "
                      : waits ? "idle"
                              : slot_state_name(state),
                      busy ? request : "", text ? ":" : "",
                      text ? text : "(no stacks: ", text ? "" : silence, text ? "" : ")\n");
}

/* Who listens there is who has asked, and may know. */
static int
check_peer(int fd, pid_t pid)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
        return -errno;
    }
    return peer.pid == pid && (peer.uid == 0 || peer.uid == geteuid()) ? 0 : -EPERM;
}

static int
connect_to(const struct stacks_asker *asker)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[STACKS_NAME_MAX];
    size_t n = stacks_answer_name(name, asker->pid, asker->key);
    memcpy(address.sun_path + 1, name, n);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
    int rc = connect(fd, (const struct sockaddr *)&address, size) < 0 ? -errno : 0;
    if (rc == 0) {
        rc = check_peer(fd, asker->pid);
    }
    if (rc < 0) {
        fd_close(&fd);
        return rc;
    }
    return fd;
}

static int
send_descriptor(int socket_fd, int fd)
{
    char byte = 0;
    struct iovec iov = {&byte, sizeof(byte)};
    return mailbox_send(socket_fd, &iov, 1, &fd, 1);
}

/* A nameless file with the text. Each asker has one of its own: they share no offset. */
static int
open_text(struct span text)
{
    int fd = fd_memfile("saola-stacks");
    int rc = fd < 0 ? fd : fd_pwrite_all(fd, text.p, text.n, 0);
    if (rc < 0) {
        fd_close(&fd);
        return rc;
    }
    return fd;
}

static int
answer_one(const struct stacks_asker *asker, struct span text)
{
    int socket_fd = connect_to(asker);
    if (socket_fd < 0) {
        return socket_fd;
    }
    int fd = open_text(text);
    int rc = fd < 0 ? fd : send_descriptor(socket_fd, fd);
    fd_close(&fd);
    fd_close(&socket_fd);
    return rc;
}

static void
write_log(struct span text)
{
    log_printf(LOG_LEVEL_INFO, "Stacks of all workers:\n%.*s", (int)text.n, text.p);
}

void
stacks_answer_look(struct arbiter *a)
{
    struct stacks_answer *answer = &a->answer;
    if (!answer->open) {
        return;
    }
    for (EACH_CHILD(a, node, next)) {
        if (child_at(node)->stacks.for_answer) {
            return;
        }
    }
    if (answer->text.len == 0) {
        (void)!buf_printf(&answer->text, "There is no worker.\n");
    }
    struct span text = buf_span(&answer->text);
    for (unsigned i = 0; i < answer->count; i++) {
        int rc = answer_one(&answer->askers[i], text);
        if (rc < 0) {
            log_warning("Cannot hand the stacks to pid %d, so they follow: %s",
                        (int)answer->askers[i].pid, strerror(-rc));
            answer->for_log = true;
        }
    }
    if (answer->for_log) {
        write_log(text);
    }
    stacks_answer_fini(answer);
    stacks_answer_init(answer);
}
