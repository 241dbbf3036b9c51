/* SPDX-License-Identifier: MIT */
/*
 * Linux shows the bytes between arg_start and arg_end of a process as its command line. If the last
 * of them is not NUL it takes the program to have written a title there, and shows the text up to
 * the first NUL, also if that lies in the environment behind the arguments. So the title goes over
 * the arguments, and, if it is longer, over the environment, whose strings are copied away first.
 */
#include "proc/title.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { TITLE_MAX = 1024, STAT_MAX = 4096, STAT_ARG_START = 48, STAT_ENV_END = 51 };

struct area {
    char *arg_start;
    char *arg_end;
    char *env_end; /* arg_end if the environment does not follow at once */
};

/* Fields 48 to 51 of /proc/self/stat (proc(5)): where arguments and environment are. */
static bool
find_area(struct area *ret_area)
{
    char text[STAT_MAX];
    uintptr_t fields[STAT_ENV_END - STAT_ARG_START + 1];
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file) {
        return false;
    }
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[n] = '\0';
    char *p = strrchr(text, ')'); /* the end of field 2, which may hold anything */
    for (int field = 3; p && field < STAT_ARG_START; field++) {
        p = strchr(p + 1, ' ');
    }
    p = p ? strchr(p + 1, ' ') : NULL;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!p) {
            return false;
        }
        fields[i] = (uintptr_t)strtoull(p, &p, 10);
    }
    if (fields[0] == 0 || fields[1] <= fields[0]) {
        return false;
    }
    ret_area->arg_start = (char *)fields[0];
    ret_area->arg_end = (char *)fields[1];
    ret_area->env_end = fields[2] == fields[1] ? (char *)fields[3] : ret_area->arg_end;
    return true;
}

/* The environment's strings go to the heap if they stand where the title is to be written. They are
 * never released: whoever asked getenv(3) earlier has pointers of its own. */
static void
move_environment(const struct area *area)
{
    for (char **entry = environ; entry && *entry; entry++) {
        if (*entry >= area->arg_start && *entry < area->env_end) {
            *entry = mem_strdup(*entry);
        }
    }
}

static void
overwrite(const struct area *area, const char *title, size_t length)
{
    size_t arguments = (size_t)(area->arg_end - area->arg_start);
    size_t room = (size_t)(area->env_end - area->arg_start);

    if (length + 2 > arguments) {
        move_environment(area);
    } else {
        room = arguments;
    }
    if (room < 2) {
        return;
    }
    length = MIN_OF(length, room - 2);
    memcpy(area->arg_start, title, length);
    memset(area->arg_start + length, 0, room - length);
    if (length + 1 < arguments) {
        area->arg_end[-1] = '.'; /* says that this is a title; not shown */
    }
}

void
title_set(const char *format, ...)
{
    char title[TITLE_MAX];
    struct area area;
    va_list args;

    va_start(args, format);
    int n = vsnprintf(title, sizeof(title), format, args);
    va_end(args);
    if (n < 0) {
        return;
    }
    prctl(PR_SET_NAME, title); /* the kernel takes the first 15 bytes */
    if (find_area(&area)) {
        overwrite(&area, title, MIN_OF((size_t)n, sizeof(title) - 1));
    }
}
