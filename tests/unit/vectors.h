/* SPDX-License-Identifier: MIT */
/*
 * Reads the files of tests/vectors (README.md there) for unit tests. A failure to read one fails
 * the test with the file and line.
 */
#ifndef SAOLA_TESTS_VECTORS_H
#define SAOLA_TESTS_VECTORS_H

#include "base/buf.h"
#include "base/macros.h"
#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct vector {
    char name[128];
    char set[512];     /* the words of its `set` lines, separated by spaces */
    struct buf input;  /* bytes to send */
    struct buf expect; /* the "key: value" lines, each with its newline */
    const char *file;
    int line;
};

static inline void
vector_add(struct buf *to, const void *bytes, size_t n)
{
    if (n > 0 && buf_append(to, bytes, n) < 0) {
        abort();
    }
}

/* \{N*TEXT}; returns what follows it. */
static inline const char *
vector_repeat(struct buf *to, const char *p)
{
    char *text;
    unsigned long n = strtoul(p, &text, 10);
    const char *end = strchr(text, '}');

    if (*text != '*' || end == NULL) {
        (void)fprintf(stderr, "bad repetition: %s\n", p);
        abort();
    }
    for (; n > 0; n--) {
        vector_add(to, text + 1, (size_t)(end - text - 1));
    }
    return end + 1;
}

static inline void
vector_unescape(struct buf *to, const char *p)
{
    while (*p != '\0') {
        char c = *p++;
        if (c != '\\') {
            vector_add(to, &c, 1);
            continue;
        }
        c = *p++;
        switch (c) {
        case 'r':
            vector_add(to, "\r", 1);
            break;
        case 'n':
            vector_add(to, "\n", 1);
            break;
        case 't':
            vector_add(to, "\t", 1);
            break;
        case '\\':
            vector_add(to, "\\", 1);
            break;
        case '{':
            p = vector_repeat(to, p);
            break;
        case 'x':
            c = (char)(num_hex_digit((unsigned char)p[0]) * 16 +
                       num_hex_digit((unsigned char)p[1]));
            vector_add(to, &c, 1);
            p += 2;
            break;
        default:
            (void)fprintf(stderr, "bad escape: \\%c\n", c);
            abort();
        }
    }
}

/* The reverse, for values that are compared. */
static inline void
vector_escape(struct buf *to, struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        char text[5];
        int n;
        switch (c) {
        case '\r':
            n = snprintf(text, sizeof(text), "\\r");
            break;
        case '\n':
            n = snprintf(text, sizeof(text), "\\n");
            break;
        case '\t':
            n = snprintf(text, sizeof(text), "\\t");
            break;
        case '\\':
            n = snprintf(text, sizeof(text), "\\\\");
            break;
        default:
            n = snprintf(text, sizeof(text), c < 0x20 || c >= 0x7f ? "\\x%02x" : "%c", c);
            break;
        }
        vector_add(to, text, (size_t)n);
    }
}

static inline void
vector_begin(struct vector *v, const char *file, int line, const char *name)
{
    buf_clear(&v->input);
    buf_clear(&v->expect);
    v->set[0] = '\0';
    v->file = file;
    v->line = line;
    (void)snprintf(v->name, sizeof(v->name), "%.127s", name);
}

static inline void
vector_line(struct vector *v, const char *line)
{
    size_t used = strlen(v->set);

    if (strncmp(line, ">> ", 3) == 0) {
        vector_unescape(&v->input, line + 3);
    } else if (line[0] == '>') {
        vector_unescape(&v->input, line[1] == ' ' ? line + 2 : line + 1);
        vector_add(&v->input, "\r\n", 2);
    } else if (strncmp(line, "set: ", 5) == 0) {
        (void)snprintf(v->set + used, sizeof(v->set) - used, " %s", line + 5);
    } else {
        vector_add(&v->expect, line, strlen(line));
        vector_add(&v->expect, "\n", 1);
    }
}

/* Calls `run` for each case of a file; returns how many there are. */
static inline int
vectors_run(const char *path, void (*run)(const struct vector *v))
{
    FILE *file = fopen(path, "r");
    struct vector v = {.file = path};
    char line[8192];
    int count = 0;
    int number = 0;

    if (file == NULL) {
        perror(path);
        abort();
    }
    buf_init(&v.input, SIZE_MAX / 2);
    buf_init(&v.expect, SIZE_MAX / 2);
    while (fgets(line, sizeof(line), file) != NULL) {
        number++;
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '\0' || line[0] == '#') {
            continue;
        }
        if (strncmp(line, "--- ", 4) != 0) {
            vector_line(&v, line);
            continue;
        }
        if (count > 0) {
            run(&v);
        }
        vector_begin(&v, path, number, line + 4);
        count++;
    }
    if (count > 0) {
        run(&v);
    }
    (void)fclose(file);
    buf_fini(&v.input);
    buf_fini(&v.expect);
    return count;
}

#endif
