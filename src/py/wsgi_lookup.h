/* SPDX-License-Identifier: MIT */
/*
 * What the access log's atoms {name}e and {name}o ask for: items of environ and fields of the
 * response head. Needs the GIL.
 */
#ifndef SAOLA_PY_WSGI_LOOKUP_H
#define SAOLA_PY_WSGI_LOOKUP_H

#include "py/wsgi_call.h"

/* Lets the engine fetch what the format of the access log names; leaves no exception. */
void wsgi_lookup(struct wsgi_call *call);

#endif
