/* SPDX-License-Identifier: MIT */
/*
 * The access log format, compiled and rendered. The first line of an input is the format, the rest
 * is what a peer sends. Whatever both are: the compiler accepts or says why not; a line ends with
 * the only line end that is not the format's; and a quotation that the format opens is closed by
 * the format, never by the peer.
 */
#include "http/access_log_format.h"

#include "base/macros.h"
#include "base/panic.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_BYTES = 8 * 1024 * 1024 };

static struct span
any_name(void *context, struct span name)
{
    const struct access_log_record *record = context;
    return name.n % 2 ? record->user_agent : record->query;
}

/* The peer's bytes, in every place where a peer's bytes can be. */
static struct access_log_record
record_of(struct span peer, const struct access_log_lookup *lookup)
{
    return (struct access_log_record){
        .remote_addr = peer,
        .authorization = peer,
        .date = SPAN("[22/Aug/2026:10:00:00 +0000]"),
        .method = peer,
        .target = peer,
        .protocol = peer,
        .path = peer,
        .query = span_of(peer.p + peer.n / 2, peer.n - peer.n / 2),
        .referer = peer,
        .user_agent = peer,
        .status = (int)(peer.n * 7 % 1000),
        .pid = (int)peer.n,
        .body_bytes = (int64_t)peer.n - 1,
        .duration_ns = (int64_t)(peer.n * peer.n) * 123456789,
        .lookup = peer.n % 5 ? lookup : NULL,
    };
}

/* What comes from the peer is printable ASCII, with complete escapes and no bare quote. */
static void
check_value(struct span text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        ASSERT(c >= 0x20 && c <= 0x7e && c != '"');
        if (c == '\\') {
            ASSERT(i + 1 < text.n);
            c = (unsigned char)text.p[++i];
            ASSERT(c == '"' || (c == 'x' && i + 2 < text.n));
            i += c == 'x' ? 2 : 0;
        }
    }
}

/* An object on one line of ASCII, whose quotes are all the format's or escaped. */
static void
check_json(struct span peer)
{
    struct access_log_record record = record_of(peer, NULL);
    struct access_log_format *compiled;
    char *error;
    struct buf out;
    size_t quotes = 0;

    ASSERT(access_log_compile("json", &compiled, &error) == 0);
    buf_init(&out, OUT_BYTES);
    ASSERT(access_log_render(compiled, &record, &out) == 0);
    const char *line = buf_begin(&out);
    ASSERT(line[0] == '{' && line[out.len - 2] == '}' && line[out.len - 1] == '\n');
    for (size_t i = 0; i + 1 < out.len; i++) {
        ASSERT((unsigned char)line[i] >= 0x20 && (unsigned char)line[i] <= 0x7e);
        quotes += line[i] == '"';
        if (line[i] == '\\') {
            i++;
            ASSERT(strchr("\"\\u", line[i]) != NULL);
        }
    }
    ASSERT(quotes % 2 == 0);
    buf_fini(&out);
    access_log_format_free(compiled);
}

/* Renders each atom of a format of its own: all of the line is the value then. */
static void
check_atom(const char *format, struct span peer)
{
    struct access_log_lookup lookup = {NULL, any_name, any_name, any_name};
    struct access_log_record record = record_of(peer, &lookup);
    struct access_log_format *compiled;
    char *error;
    struct buf out;

    lookup.context = &record;
    ASSERT(access_log_compile(format, &compiled, &error) == 0);
    buf_init(&out, OUT_BYTES);
    ASSERT(access_log_render(compiled, &record, &out) == 0);
    ASSERT(out.len > 0 && buf_end(&out)[-1] == '\n');
    check_value(span_of(buf_begin(&out), out.len - 1));
    buf_fini(&out);
    access_log_format_free(compiled);
}

static void
check_format(const char *format, struct span peer)
{
    struct access_log_lookup lookup = {NULL, any_name, any_name, any_name};
    struct access_log_record record = record_of(peer, &lookup);
    struct access_log_format *compiled = NULL;
    char *error = NULL;
    struct buf out;

    lookup.context = &record;
    if (access_log_compile(format, &compiled, &error) < 0) {
        ASSERT(error && strstr(error, "access_log_format") && !compiled);
        free(error);
        return;
    }
    buf_init(&out, OUT_BYTES);
    if (access_log_render(compiled, &record, &out) == 0) {
        size_t lines = 1;
        for (const char *p = format; *p != '\0'; p++) {
            lines += *p == '\n';
        }
        for (size_t i = 0; i < out.len; i++) {
            lines -= buf_begin(&out)[i] == '\n';
        }
        ASSERT(lines == 0);
    } else {
        ASSERT(out.len == 0);
    }
    buf_fini(&out);
    access_log_format_free(compiled);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const atoms[] = {
        "%(h)s",    "%(u)s",      "%(r)s",     "%(m)s",    "%(U)s",      "%(q)s",
        "%(H)s",    "%(f)s",      "%(a)-40s",  "%(a).9s",  "%(r)60.21s", "%({ab}i)s",
        "%({a}o)s", "%({key}e)s", "%({k}e)7d", "%(u).11s", "%(s)05d",    "%(B)#x",
    };
    const uint8_t *line_end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t length = line_end ? (size_t)(line_end - data) : size;
    char *format = malloc(length + 1);
    const char *rest = (const char *)data + (line_end ? length + 1 : length);
    struct span peer = span_of(rest, size - (size_t)(rest - (const char *)data));

    if (!format) {
        return 0;
    }
    if (length > 0) {
        memcpy(format, data, length);
    }
    format[length] = '\0';
    check_format(format, peer);
    check_atom(atoms[size % ARRAY_LEN(atoms)], peer);
    check_json(peer);
    free(format);
    return 0;
}
