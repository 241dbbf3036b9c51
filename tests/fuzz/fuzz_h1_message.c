/* SPDX-License-Identifier: MIT */
/*
 * What one worker writes to another. The first byte of an input is the number of descriptors that
 * came with it; what is accepted must be safe to act on.
 */
#include "base/macros.h"
#include "base/mem.h"
#include "base/panic.h"
#include "http/h1_message.h"
#include "net/mailbox.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct h1_message *message, size_t size, unsigned n_fds)
{
    ASSERT(h1_message_payload(message) == size - sizeof(*message));
    ASSERT(message->peer_len <= sizeof(message->peer));
    ASSERT(memchr(message->peer, '\n', message->peer_len) == NULL);
    ASSERT(n_fds == 1 + (unsigned)message->spooled);
    ASSERT(message->since_ns >= 0 && message->spooled_bytes >= 0);
    if (message->kind == H1_MESSAGE_CONNECTION) {
        ASSERT(message->timeout_kind < TIMEOUT_KINDS && message->head_bytes <= MAILBOX_BYTES_MAX);
    } else {
        ASSERT(message->kind == H1_MESSAGE_REQUEST && message->head_bytes > 0);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct h1_message message;
    if (size < 2) {
        return 0;
    }
    char *bytes = mem_dup(data + 1, size - 1); /* aligned, and of exactly its size */
    unsigned n_fds = data[0] % 4;
    if (h1_message_decode(bytes, size - 1, n_fds, &message) == 0) {
        check(&message, size - 1, n_fds);
    }
    free(bytes);
    return 0;
}
