/* SPDX-License-Identifier: MIT */
/*
 * systemd's two small protocols: sockets handed to the server (LISTEN_PID, LISTEN_FDS) and news
 * sent back (NOTIFY_SOCKET, WATCHDOG_USEC). Neither needs libsystemd. They only read the
 * environment; whoever owns it removes the variables. Main thread.
 */
#ifndef SAOLA_PROC_SYSTEMD_H
#define SAOLA_PROC_SYSTEMD_H

#include "base/macros.h"

#include <stdint.h>

enum { SYSTEMD_FIRST_FD = 3 };

/* How many sockets, from SYSTEMD_FIRST_FD on, were passed to this very process. */
int systemd_listen_fds(void);

/* Within how many microseconds the manager wants to hear from this very process (WATCHDOG_USEC,
 * WATCHDOG_PID); 0: it does not wait. */
int64_t systemd_watchdog_us(void);

/* Sends one datagram, such as "READY=1\nSTATUS=...". 0 also if nobody asked for news. */
int systemd_notify(const char *state) NODISCARD;

#endif
