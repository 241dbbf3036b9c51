/* SPDX-License-Identifier: MIT */
#include "proc/backlog.h"

#include "base/clock.h"
#include "config/config.h"
#include "log/log.h"
#include "net/listener.h"
#include "proc/arbiter.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* 0 where the kernel does not say: unix sockets. */
static int64_t
waiting_at(const struct listener *listener)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    if (getsockopt(listener->fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0) {
        return 0;
    }
    return info.tcpi_unacked; /* of a listener: the length of its queue */
}

void
backlog_report(struct arbiter *a, int64_t now_ns)
{
    if (!a->cfg->enable_backlog_metric || now_ns < a->backlog_due_ns) {
        return;
    }
    a->backlog_due_ns = now_ns + NS_PER_SEC;
    struct log_metric metric = {"gunicorn.backlog", "histogram", 0};
    for (size_t i = 0; i < a->listener_count; i++) {
        metric.value += waiting_at(&a->listeners[i]);
    }
    log_metric(&metric, "socket backlog: %lld", (long long)metric.value);
}
