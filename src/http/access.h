/* SPDX-License-Identifier: MIT */
/*
 * From a request and its response to a line of the access log. The functions below and
 * response_wants_lookup(), response_log() (http/response.h) do nothing if the log is off. StatsD
 * gets its metrics here too, also if the log is off. If the server has an observer, all that is its
 * business.
 */
#ifndef SAOLA_HTTP_ACCESS_H
#define SAOLA_HTTP_ACCESS_H

#include "base/macros.h"

struct request;

/* The response is complete or has failed. Once per request; the thread that runs the application,
 * without the loop's lock. */
void access_log_response(struct request *request);

/* The server itself answered, before the application saw the request: what is known of its head is
 * in `request`, with `base` set. Loop lock held. */
void access_log_refusal(struct request *request, int status);

#endif
