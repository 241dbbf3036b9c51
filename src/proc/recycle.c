/* SPDX-License-Identifier: MIT */
#include "proc/recycle.h"

#include "base/clock.h"
#include "base/num.h"
#include "base/random.h"
#include "base/span.h"
#include "config/config.h"
#include "log/log.h"
#include "proc/arbiter.h"
#include "proc/manage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    SAMPLES = 3, /* in a row: a peak is no leak */
    PATH_MAX_BYTES = 64,
    LINE_MAX_BYTES = 256,
};

static const int64_t SAMPLE_NS = 2 * NS_PER_SEC;

/* --- memory --- */

static FILE *
open_proc(pid_t pid, const char *name)
{
    char path[PATH_MAX_BYTES];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    return fopen(path, "re");
}

/* The number at `text`, after spaces. */
static int64_t
parse_number(const char *text)
{
    uint64_t value = 0;
    while (*text == ' ') {
        text++;
    }
    size_t digits = strspn(text, "0123456789");
    return num_from_dec(span_of(text, digits), &value) == 0 ? (int64_t)value : -EIO;
}

/* The second number of /proc/PID/statm: pages that are resident. */
static int64_t
read_resident_bytes(pid_t pid)
{
    char line[LINE_MAX_BYTES];
    int64_t bytes = -EIO;
    FILE *file = open_proc(pid, "statm");

    if (!file) {
        return -ESRCH;
    }
    if (fgets(line, sizeof(line), file)) {
        const char *second = strchr(line, ' ');
        int64_t pages = second ? parse_number(second) : -EIO;
        bytes = pages < 0 ? pages : pages * sysconf(_SC_PAGESIZE);
    }
    fclose(file);
    return bytes;
}

/* "Pss:  1234 kB" in /proc/PID/smaps_rollup, which not every kernel has nor every user may read. */
static int64_t
read_share_bytes(pid_t pid)
{
    static const char key[] = "Pss:";
    char line[LINE_MAX_BYTES];
    int64_t bytes = -EIO;
    FILE *file = open_proc(pid, "smaps_rollup");

    while (file && bytes < 0 && fgets(line, sizeof(line), file)) {
        if (strncmp(line, key, sizeof(key) - 1) == 0) {
            int64_t kib = parse_number(line + sizeof(key) - 1);
            bytes = kib < 0 ? kib : kib * 1024;
        }
    }
    if (file) {
        fclose(file);
    }
    return bytes;
}

int64_t
recycle_memory_bytes(pid_t pid, int64_t limit_bytes)
{
    int64_t resident = read_resident_bytes(pid);
    if (resident <= limit_bytes) {
        return resident; /* an error too */
    }
    int64_t share = read_share_bytes(pid);
    return share >= 0 ? share : resident;
}

static void
judge_memory(struct child *child, int64_t limit_bytes)
{
    int64_t bytes = recycle_memory_bytes(child->pid, limit_bytes);
    child->fat_samples = bytes > limit_bytes ? child->fat_samples + 1 : 0;
    if (child->fat_samples < SAMPLES) {
        return;
    }
    child->wants_to_go = true;
    const double mib = 1024.0 * 1024.0;
    log_info("Worker (pid:%d) holds %.1f MiB of memory (max_worker_rss %.1f MiB), also in the "
             "samples before: replacing it",
             (int)child->pid, (double)bytes / mib, (double)limit_bytes / mib);
}

/* --- age --- */

static void
judge_age(struct child *child, const struct config *cfg, int64_t now_ns)
{
    int64_t drawn = (child->old_at_ns - child->ready_ns) / NS_PER_SEC;
    if (child->old_at_ns == 0 || now_ns < child->old_at_ns) {
        return;
    }
    child->wants_to_go = true;
    log_info("Worker (pid:%d) has been ready for %.1f s (max_worker_age %lld s, with jitter "
             "%lld s): replacing it",
             (int)child->pid, (double)(now_ns - child->ready_ns) / (double)NS_PER_SEC,
             (long long)cfg->max_worker_age, (long long)drawn);
}

void
recycle_begin(const struct arbiter *a, struct child *child, int64_t now_ns)
{
    const struct config *cfg = a->cfg;
    child->ready_ns = now_ns;
    if (cfg->max_worker_age > 0) {
        int64_t age_ns = clock_seconds(cfg->max_worker_age);
        child->old_at_ns =
            now_ns + age_ns + random_up_to(clock_seconds(cfg->max_worker_age_jitter));
    }
}

/* --- both --- */

static bool
is_judged(const struct child *child)
{
    return child->ready && !child->leaving && !child->wants_to_go;
}

void
recycle_look(struct arbiter *a, int64_t now_ns)
{
    const struct config *cfg = a->cfg;
    bool sample = cfg->max_worker_rss > 0 && now_ns >= a->sample_at_ns;

    if (sample) {
        a->sample_at_ns = now_ns + SAMPLE_NS;
    }
    for (EACH_CHILD(a, node, next)) {
        struct child *child = child_at(node);
        if (is_judged(child)) {
            judge_age(child, cfg, now_ns);
        }
        if (sample && is_judged(child)) {
            judge_memory(child, cfg->max_worker_rss);
        }
    }
}

int64_t
recycle_next_ns(const struct arbiter *a)
{
    int64_t next_ns = a->cfg->max_worker_rss > 0 ? a->sample_at_ns : INT64_MAX;
    for (EACH_CHILD(a, node, next)) {
        const struct child *child = child_at(node);
        if (is_judged(child) && child->old_at_ns > 0) {
            next_ns = MIN_OF(next_ns, child->old_at_ns);
        }
    }
    return next_ns;
}
