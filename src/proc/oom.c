/* SPDX-License-Identifier: MIT */
#include "proc/oom.h"

#include "base/macros.h"
#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 4096 };

/* The directory of the control group with that controller ("": the unified hierarchy), from
 * /proc/self/cgroup; its mount point is where every distribution has it. */
static char *
find_group(const char *controller)
{
    char line[LINE_MAX_BYTES];
    char *result = NULL;
    FILE *file = fopen("/proc/self/cgroup", "re");

    while (file && !result && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        char *names = strchr(line, ':');
        char *path = names ? strchr(names + 1, ':') : NULL;
        if (!path) {
            continue;
        }
        *path = '\0';
        if (strcmp(names + 1, controller) == 0) {
            result = mem_strdup(strcmp(path + 1, "/") == 0 ? "" : path + 1);
        }
    }
    if (file) {
        fclose(file);
    }
    return result;
}

/* The number behind "oom_kill " in the file. */
static bool
read_counter(const char *path, uint64_t *ret_value)
{
    char line[LINE_MAX_BYTES];
    bool found = false;
    FILE *file = fopen(path, "re");

    while (file && !found && fgets(line, sizeof(line), file)) {
        static const char key[] = "oom_kill ";
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, key, sizeof(key) - 1) == 0) {
            found = num_from_dec(span_str(line + sizeof(key) - 1), ret_value) == 0;
        }
    }
    if (file) {
        fclose(file);
    }
    return found;
}

/* Counts for all groups: better than nothing. */
static const char whole_machine[] = "/proc/vmstat";

/* Where the counter may be: version 2, the mixed layout of version 1 and 2, version 1; inside a
 * container the group's path may be that of the host while its mount is the root. */
static char *
find_counter(void)
{
    static const struct {
        const char *controller;
        const char *mount;
        const char *file;
    } places[] = {
        {"", "/sys/fs/cgroup", "memory.events"},
        {"", "/sys/fs/cgroup/unified", "memory.events"},
        {"memory", "/sys/fs/cgroup/memory", "memory.oom_control"},
    };
    for (size_t i = 0; i < 2 * ARRAY_LEN(places); i++) {
        char *group = find_group(places[i / 2].controller);
        char path[LINE_MAX_BYTES];
        uint64_t value = 0;
        if (!group) {
            continue;
        }
        snprintf(path, sizeof(path), "%s%s/%s", places[i / 2].mount, i % 2 == 0 ? group : "",
                 places[i / 2].file);
        free(group);
        if (read_counter(path, &value)) {
            return mem_strdup(path);
        }
    }
    uint64_t value = 0;
    return read_counter(whole_machine, &value) ? mem_strdup(whole_machine) : NULL;
}

void
oom_counter_init(struct oom_counter *counter)
{
    *counter = (struct oom_counter){.path = find_counter()};
    (void)oom_counter_grew(counter);
}

void
oom_counter_fini(struct oom_counter *counter)
{
    free(counter->path);
    counter->path = NULL;
}

bool
oom_counter_grew(struct oom_counter *counter)
{
    uint64_t value = 0;
    if (!counter->path || !read_counter(counter->path, &value)) {
        return false;
    }
    bool grew = value > counter->seen;
    counter->seen = value;
    return grew;
}
