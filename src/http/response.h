/* SPDX-License-Identifier: MIT */
/*
 * The response to a request. The head is decided in one place, response_start(): framing
 * (Content-Length, chunked or close; RFC 9112 section 6), Date, Server, Connection; what the
 * application may not set is dropped, what would break the head is refused.
 *
 * Call order: start, then write any number of times or send_file once, then finish; or fail, or
 * abort, at any point. Then request_done(). The functions take the loop's lock themselves: call
 * them without it, from the thread that runs the application. None blocks but response_wait().
 */
#ifndef SAOLA_HTTP_RESPONSE_H
#define SAOLA_HTTP_RESPONSE_H

#include "base/macros.h"
#include "base/span.h"
#include "net/blocks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request;

enum response_framing {
    FRAMING_NONE,    /* no body: HEAD, 1xx, 204, 304 */
    FRAMING_LENGTH,  /* Content-Length */
    FRAMING_CHUNKED, /* Transfer-Encoding: chunked */
    FRAMING_CLOSE,   /* until the connection ends (HTTP/1.0) */
};

struct response {
    int status; /* 0: not started */
    enum response_framing framing;
    int64_t length;     /* of FRAMING_LENGTH */
    int64_t body_bytes; /* given to the peer or queued, without framing: the access log's %(B)s */
    struct block head;  /* the rendered head, until it goes out with the first bytes */
    bool started;       /* the head is decided */
    bool sent;          /* the head has gone out: no other can be sent */
    bool ended;         /* the end of the framing has gone out */
    bool close;         /* the connection ends after it */
    bool dropped_body;  /* the application gave body bytes for a response that has none */
    bool counted;       /* StatsD has it */
    bool logged;        /* the access log has it */
};

struct response_field {
    struct span name;
    struct span value;
};

struct response_head {
    struct span status; /* "200 OK": three digits, a space, a reason */
    const struct response_field *fields;
    size_t n_fields;
};

/* What the application did wrong; negated results of response_start(). */
enum response_fault {
    RESPONSE_BAD_STATUS = 1, /* not three digits and a printable reason */
    RESPONSE_BAD_NAME,       /* a field name that is no token */
    RESPONSE_BAD_VALUE,      /* a field value with control bytes */
    RESPONSE_BAD_LENGTH,     /* a Content-Length that is no number */
};

/* Decides and queues the head; it is sent with the first bytes of the body, or by
 * response_finish(). 0, or -fault with *ret_field the index of the field at fault (untouched for
 * the status): nothing was queued, another head may be started. */
int response_start(struct request *request, const struct response_head *head, size_t *ret_field)
    NODISCARD;

/* An informational response (103): written at once. 0 also where the protocol has none (HTTP/1.0)
 * or the head is out. Faults as response_start(). */
int response_inform(struct request *request, const struct response_head *head, size_t *ret_field)
    NODISCARD;

/* Offers bytes to the peer; what it does not take is kept (in memory, then in a file), so the
 * caller may release them at once. Bytes beyond Content-Length, and those of a response without a
 * body, are dropped. `last`: nothing follows, so the end of the framing goes out with it. 0: go on;
 * 1: queued, but the peer is far behind: response_wait() before writing more; negative errno: the
 * connection is lost. */
int response_write(struct request *request, struct span bytes, bool last) NODISCARD;

/* Waits for the peer to catch up; returns as response_write(). 1: it has not yet, but something has
 * happened, and it may have been a signal; the caller looks at that and waits again. Blocks: the
 * caller releases the GIL around it. */
int response_wait(struct request *request) NODISCARD;

/* The rest of the body is `length` bytes of `fd` from `offset` (sendfile(2) where the socket can).
 * The descriptor is duplicated. Returns as response_write(). */
int response_send_file(struct request *request, int fd, int64_t offset, int64_t length) NODISCARD;

/* Looks up what only the bridge knows, for access log atoms {x}e and {x}o: writes the text of the
 * environ item or response field into `scratch` or points elsewhere; p == NULL if there is none. */
struct response_lookup {
    void *context;
    struct span (*environ)(void *context, struct span key);
    struct span (*field)(void *context, struct span name);
};

/* The response is complete: sends the end of the framing and writes the access log line. A body
 * shorter than its Content-Length closes the connection. Then request_done(). */
void response_finish(struct request *request);

/* The application failed: before anything was sent the peer gets an error page with `status` and
 * `message` (escaped here; may be empty), afterwards the connection is closed without the end of
 * the framing. The access log line is written. Then request_done(). */
void response_fail(struct request *request, int status, struct span message);

/* Closes the connection, whatever was sent. No access log line. Then request_done(). */
void response_abort(struct request *request);

/* Whether the access log format has atoms {x}e or {x}o. If so the bridge calls response_log() just
 * before finish or fail, with the lock not held; `lookup` may run Python. */
bool response_wants_lookup(const struct request *request);
void response_log(struct request *request, const struct response_lookup *lookup);

#endif
