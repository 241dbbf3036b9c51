/* SPDX-License-Identifier: MIT */
#include "py/wsgi_log.h"

#include "log/limit.h"
#include "log/log.h"
#include "log/quote.h"
#include "py/py_compat.h"
#include "py/py_log.h"

#include <errno.h>

/* Method and target, quoted for the log. */
struct request_text {
    char method[64];
    char target[LOG_QUOTE_TEXT_BYTES];
};

static void
request_text_init(struct request_text *text, const struct request *request)
{
    const struct h1_head *head = &request->head;

    log_quote_text(text->method, sizeof(text->method), h1_part_span(request->base, head->method));
    log_quote_text(text->target, sizeof(text->target), h1_part_span(request->base, head->target));
}

void
wsgi_log_failure(const struct request *request, PyObject *exception)
{
    struct request_text text;
    char message[sizeof(struct request_text) + 64];

    request_text_init(&text, request);
    PyOS_snprintf(message, sizeof(message), "Error handling request %s %s", text.method,
                  text.target);
    py_raised_put(exception);
    py_log_exception(message);
}

void
wsgi_log_timeout(const struct request *request, double seconds)
{
    struct request_text text;

    request_text_init(&text, request);
    log_error("Request timeout: %s %s has been running for %.3f s", text.method, text.target,
              seconds);
}

void
wsgi_log_raised(const char *message)
{
    py_log_exception(message);
}

const char *
wsgi_disconnect_name(PyObject *exception)
{
    static const struct {
        long number;
        const char *name;
    } kinds[] = {{EPIPE, "EPIPE"}, {ECONNRESET, "ECONNRESET"}, {ENOTCONN, "ENOTCONN"}};

    if (!PyErr_GivenExceptionMatches(exception, PyExc_OSError)) {
        return NULL;
    }
    PyObject *object = PyObject_GetAttrString(exception, "errno");
    long number = object && PyLong_Check(object) ? PyLong_AsLong(object) : 0;
    Py_XDECREF(object);
    PyErr_Clear();
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (kinds[i].number == number) {
            return kinds[i].name;
        }
    }
    return NULL;
}

void
wsgi_log_dropped_body(const struct request *request)
{
    static struct log_limit limit;
    struct request_text text;

    request_text_init(&text, request);
    log_limited(&limit, LOG_LEVEL_WARNING,
                "WSGI app sent body bytes on a no-body response (method=%s status=%d); dropping "
                "per RFC 9110.",
                text.method, request->response.status);
}

void
wsgi_log_refused(const struct request *request, struct span problem)
{
    static struct log_limit limit;
    struct span peer = request_peer(request);

    log_limited(&limit, LOG_LEVEL_WARNING, "Invalid request from ip=%.*s: %.*s", (int)peer.n,
                peer.p, (int)problem.n, problem.p);
}

void
wsgi_log_request(const struct request *request)
{
    struct request_text text;

    if (log_enabled(LOG_LEVEL_DEBUG)) {
        request_text_init(&text, request);
        log_debug("%s %s", text.method, text.target);
    }
}
