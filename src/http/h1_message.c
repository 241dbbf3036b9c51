/* SPDX-License-Identifier: MIT */
#include "http/h1_message.h"

#include "net/mailbox.h"

#include <errno.h>
#include <string.h>

/* The text goes into log lines and environ. */
static bool
is_peer(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!strchr("0123456789abcdefABCDEF:.", text[i]) || text[i] == '\0') {
            return false;
        }
    }
    return true;
}

static bool
lengths_agree(const struct h1_message *m, size_t n)
{
    return m->head_bytes <= MAILBOX_BYTES_MAX && m->body_bytes <= MAILBOX_BYTES_MAX &&
           m->rest_bytes <= MAILBOX_BYTES_MAX && h1_message_payload(m) == n - sizeof(*m) &&
           m->peer_len <= sizeof(m->peer);
}

static bool
parts_agree(const struct h1_message *m)
{
    if (m->kind == H1_MESSAGE_CONNECTION) {
        return m->body_bytes == 0 && m->rest_bytes == 0 && m->spooled_bytes == 0 && !m->spooled &&
               (m->timeout_kind == TIMEOUT_HEAD || m->timeout_kind == TIMEOUT_KEEPALIVE);
    }
    if (m->kind != H1_MESSAGE_REQUEST || m->head_bytes == 0) {
        return false;
    }
    return m->spooled ? m->body_bytes == 0 && m->spooled_bytes > 0 : m->spooled_bytes == 0;
}

/* A byte that is neither 0 nor 1 is no bool, and looking at it undefined. */
static bool
are_bools(const char *bytes)
{
    static const size_t offsets[] = {
        offsetof(struct h1_message, served),
        offsetof(struct h1_message, last),
        offsetof(struct h1_message, spooled),
    };
    for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
        if ((unsigned char)bytes[offsets[i]] > 1) {
            return false;
        }
    }
    return true;
}

int
h1_message_decode(const char *bytes, size_t n, unsigned n_fds, struct h1_message *ret_message)
{
    struct h1_message m;
    if (n < sizeof(m) || !are_bools(bytes)) {
        return -EBADMSG;
    }
    memcpy(&m, bytes, sizeof(m));
    if (m.version != H1_MESSAGE_VERSION || !lengths_agree(&m, n) || !parts_agree(&m) ||
        n_fds != (m.spooled ? 2U : 1U) || m.since_ns < 0 || !is_peer(m.peer, m.peer_len)) {
        return -EBADMSG;
    }
    *ret_message = m;
    return 0;
}
