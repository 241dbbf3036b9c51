/* SPDX-License-Identifier: MIT */
#include "http/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/macros.h"
#include "log/log.h"
#include "log/quote.h"

/* --- the values of tests/vectors/access_log --- */

static const struct {
    const char *kind;
    const char *name;
    const char *value;
} NAMED[] = {
    {"i", "x-request-id", "0123456789abcdef0123456789abcdef"},
    {"i", "host", "example.com"},
    {"o", "content-type", "text/html; charset=utf-8"},
    {"e", "wsgi.url_scheme", "http"},
    {"e", "app.items", "17"},
    {"e", "app.balance", "-250"},
};

static struct span
look_up(const char *kind, struct span name)
{
    for (size_t i = 0; i < ARRAY_LEN(NAMED); i++) {
        if (*NAMED[i].kind == *kind && span_eq_nocase(name, span_str(NAMED[i].name))) {
            return span_str(NAMED[i].value);
        }
    }
    return (struct span){NULL, 0};
}

static struct span
request_header(void *context, struct span name)
{
    (void)context;
    for (size_t i = 0; i < name.n; i++) {
        assert_int_equal(name.p[i], ascii_lower((unsigned char)name.p[i]));
    }
    return look_up("i", name);
}

static struct span
response_header(void *context, struct span name)
{
    (void)context;
    return look_up("o", name);
}

static struct span
environ_item(void *context, struct span key)
{
    (void)context;
    return look_up("e", key);
}

static const struct access_log_lookup LOOKUP = {
    .request_header = request_header,
    .response_header = response_header,
    .environ_item = environ_item,
};

static struct access_log_record
typical(void)
{
    return (struct access_log_record){
        .remote_addr = SPAN("192.0.2.7"),
        .authorization = SPAN("Basic YWxpY2U6c2VzYW1l"), /* alice:sesame */
        .date = SPAN("[22/Aug/2026:10:00:00 +0000]"),
        .method = SPAN("GET"),
        .target = SPAN("/some/where?x=1&y=2"),
        .protocol = SPAN("HTTP/1.1"),
        .path = SPAN("/some/where"),
        .query = SPAN("x=1&y=2"),
        .user_agent = SPAN("curl/8.0 \"quoted\" and long enough for more than one block"),
        .status = 404,
        .pid = 4242,
        .body_bytes = 12345,
        .duration_ns = INT64_C(3004005999),
        .lookup = &LOOKUP,
    };
}

/* The line without its end; valid until the next call. */
static const char *
render(const char *format, const struct access_log_record *record)
{
    static char line[256 * 1024];
    struct access_log_format *compiled = NULL;
    char *error = NULL;
    struct buf out;
    buf_init(&out, sizeof(line) - 1);
    if (access_log_compile(format, &compiled, &error) < 0) {
        fail_msg("%s", error);
    }
    assert_int_equal(access_log_render(compiled, record, &out), 0);
    assert_true(out.len > 0);
    assert_int_equal(buf_end(&out)[-1], '\n');
    memcpy(line, buf_begin(&out), out.len - 1);
    line[out.len - 1] = '\0';
    buf_fini(&out);
    access_log_format_free(compiled);
    return line;
}

/* --- formats --- */

static void
test_as_python(void **state)
{
    (void)state;
    FILE *file = fopen(VECTORS_DIR "/access_log/formats.txt", "r");
    char text[4096];
    int count = 0;
    struct access_log_record record = typical();
    assert_non_null(file);
    while (fgets(text, sizeof(text), file)) {
        text[strcspn(text, "\n")] = '\0';
        char *expected = strchr(text, '\t');
        assert_non_null(expected);
        *expected++ = '\0';
        const char *line = render(text, &record);
        if (strcmp(line, expected) != 0) {
            fail_msg("%s\nrendered %s\nPython   %s", text, line, expected);
        }
        count++;
    }
    assert_true(count > 1000);
    (void)fclose(file);
}

static void
test_nothing_known(void **state)
{
    (void)state;
    struct access_log_record record = {.body_bytes = -1};
    assert_string_equal(render("%(h)s %(u)s %(t)s %(r)s %(s)s %(b)s %(B)d %(f)s %(a)s", &record),
                        "- - - - - - - - - - -");
    assert_string_equal(render("%(m)s %(U)s %(q)s %(H)s %({a}i)s %({b}o)s %({c}e)s", &record),
                        "- - - - - - -");
    assert_string_equal(render("%(T)s %(M)s %(D)s %(L)s|%(B)5d|%(s)-3s|", &record),
                        "0 0 0 0.000000|    -|-  |");
}

static void
test_empty_texts(void **state)
{
    (void)state;
    struct access_log_record record = {
        .remote_addr = SPAN(""), .query = SPAN(""), .user_agent = SPAN("")};
    /* A peer without an address, on a unix socket, keeps the column. */
    assert_string_equal(render("%(h)s [%(q)s] \"%(a)s\"", &record), "- [] \"\"");
}

static void
test_long_duration(void **state)
{
    (void)state;
    struct access_log_record record = {.duration_ns = INT64_C(90061000001000)};
    assert_string_equal(render("%(T)s %(M)s %(D)s %(L)s", &record),
                        "90061 90061000 90061000001 90061.000001");
    record.duration_ns = -5;
    assert_string_equal(render("%(D)s", &record), "0");
}

static const struct {
    const char *format;
    const char *position;
} bad_formats[] = {
    {"%", "'%' at position 1: "},
    {"abc %(h", "'%(h' at position 5: the parenthesis"},
    {"abc %((h)s", "position 5: the parenthesis"},
    {"%(h)", "'%(h)' at position 1: the type is missing"},
    {"%(h)s %s", "'%s' at position 7: an atom has a name"},
    {"%5%", "an atom has a name"},
    {"%(h)%", "the type is none of"},
    {"%d", "an atom has a name"},
    {"%(h)d", "'%(h)d' at position 1: this type needs a number"},
    {"%(zz)d", "this type needs a number"},
    {"%({a}i)d", "this type needs a number"},
    {"%(D)e", "'%(D)e' at position 1: the type is none of"},
    {"%(D)r", "the type is none of"},
    {"%(D)*d", "has to be written out"},
    {"%(D).*d", "has to be written out"},
    {"%(D)1025d", "at most 1024"},
    {"%(D)99999999999999999999999d", "at most 1024"},
    {"%(D).1025f", "at most 1024"},
};

static void
test_bad_formats(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_formats); i++) {
        struct access_log_format *format = NULL;
        char *error = NULL;
        assert_int_equal(access_log_compile(bad_formats[i].format, &format, &error), -EINVAL);
        assert_null(format);
        assert_non_null(error);
        if (!strstr(error, bad_formats[i].position)) {
            fail_msg("%s\ndoes not say: %s", error, bad_formats[i].position);
        }
        assert_non_null(strstr(error, "access_log_format"));
        free(error);
    }
}

static const struct {
    const char *format;
    unsigned needs;
} needs[] = {
    {"%(h)s %(l)s %(t)s \"%(r)s\" %(s)s %(b)s \"%(f)s\" \"%(a)s\"", 0},
    {"%(u)s", ACCESS_LOG_NEEDS_USER},
    {"%(U)s", ACCESS_LOG_NEEDS_PATH},
    {"%({a}i)s", ACCESS_LOG_NEEDS_REQUEST_HEADER},
    {"%({a}o)s%({b}E)s", ACCESS_LOG_NEEDS_RESPONSE_HEADER | ACCESS_LOG_NEEDS_ENVIRON},
};

static void
test_needs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(needs); i++) {
        struct access_log_format *format;
        char *error;
        assert_int_equal(access_log_compile(needs[i].format, &format, &error), 0);
        assert_int_equal(access_log_needs(format), needs[i].needs);
        access_log_format_free(format);
    }
}

/* --- what a client sends --- */

static void
test_no_line_is_forged(void **state)
{
    (void)state;
    struct access_log_record record = typical();
    record.user_agent =
        SPAN("a\"\n127.0.0.1 - - [\\\"\r\t\x7f\x80\xff\x85 tail of clean bytes ...");
    assert_string_equal(render("\"%(a)s\"", &record),
                        "\"a\\\"\\x0a127.0.0.1 - - [\\x5c\\\"\\x0d\\x09\\x7f\\x80\\xff\\x85"
                        " tail of clean bytes ...\"");
    record.target = SPAN("/\"x");
    assert_string_equal(render("%(r)s", &record), "GET /\\\"x HTTP/1.1");
}

/* Each byte at each place of texts around the sizes of a block, against a plain escaper. */
static void
check_escape(size_t n, size_t at, unsigned char c)
{
    char text[40];
    char expected[64];
    char escaped[8];
    char out[LOG_ESCAPE_BYTES * sizeof(text)];
    bool raw = c >= 0x20 && c <= 0x7e && c != '"' && c != '\\';
    int length = raw        ? snprintf(escaped, sizeof(escaped), "%c", c)
                 : c == '"' ? snprintf(escaped, sizeof(escaped), "\\\"")
                            : snprintf(escaped, sizeof(escaped), "\\x%02x", c);

    memset(text, 'x', n);
    text[at] = (char)c;
    memset(expected, 'x', sizeof(expected));
    memcpy(expected + at, escaped, (size_t)length);

    size_t written = (size_t)(log_escape(out, span_of(text, n)) - out);
    assert_int_equal(written, n - 1 + (size_t)length);
    assert_memory_equal(out, expected, written);
}

static void
test_every_byte_everywhere(void **state)
{
    (void)state;
    for (size_t n = 1; n < 40; n++) {
        for (size_t at = 0; at < n; at++) {
            for (unsigned c = 0; c < 256; c++) {
                check_escape(n, at, (unsigned char)c);
            }
        }
    }
}

static void
test_precision_keeps_escapes_whole(void **state)
{
    (void)state;
    struct access_log_record record = {.user_agent = SPAN("ab\n\"cd")};
    assert_string_equal(render("[%(a).1s]", &record), "[a]");
    assert_string_equal(render("[%(a).5s]", &record), "[ab]");
    assert_string_equal(render("[%(a).6s]", &record), "[ab\\x0a]");
    assert_string_equal(render("[%(a).7s]", &record), "[ab\\x0a]");
    assert_string_equal(render("[%(a).8s]", &record), "[ab\\x0a\\\"]");
    assert_string_equal(render("[%(a)-9.5s]", &record), "[ab       ]");
}

static void
test_long_text_is_cut(void **state)
{
    (void)state;
    static char text[ACCESS_LOG_TEXT_MAX + 1];
    memset(text, '\n', sizeof(text));
    struct access_log_record record = {.target = {text, sizeof(text)}};
    const char *line = render("%(r)s|", &record);
    assert_int_equal(strlen(line), 2 + 4 * ACCESS_LOG_TEXT_MAX + 3 + 3);
    assert_string_equal(line + strlen(line) - 10, "\\x0a... -|");
}

static const struct {
    const char *authorization;
    const char *user;
} users[] = {
    {"Basic YWxpY2U6c2VzYW1l", "alice"},
    {"basic YWxpY2U6c2VzYW1l", "alice"},
    {"BASIC   YWxpY2U6c2VzYW1l  ", "alice"},
    {"Basic YWxpY2U=", "alice"},
    {"Basic YWxpY2U", "-"},         /* no padding: binascii.Error */
    {"Basic YW x\npY2U6", "alice"}, /* bytes outside the alphabet are skipped */
    {"Basic YQ==", "a"},
    {"Basic YWI=", "ab"},
    {"Basic YQ==YQ==", "a"},
    {"Basic OnNlc2FtZQ==", "-"}, /* :sesame */
    {"Basic ", "-"},
    {"Basic", "-"},
    {"BasicYWxpY2U6", "-"},
    {"Bearer YWxpY2U6c2VzYW1l", "-"},
    {"Basic !!!!", "-"},
    {"Basic ====", "-"},
    {"Basic Y", "-"},
    {"Basic YS4gYiAiYyIKOng=", "a.\\x20b\\x20\\\"c\\\"\\x0a"}, /* a. b "c"\n:x */
    {"Basic /////w==", "\\xff\\xff\\xff\\xff"},
    {"", "-"},
};

static void
test_users(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(users); i++) {
        struct access_log_record record = {.authorization = span_str(users[i].authorization)};
        assert_string_equal(render("%(u)s", &record), users[i].user);
    }
}

static void
test_long_user_is_cut(void **state)
{
    (void)state;
    char authorization[2000] = "Basic ";
    for (size_t i = strlen(authorization); i + 4 < sizeof(authorization); i += 4) {
        memcpy(authorization + i, "eHh4", 5); /* xxx */
    }
    struct access_log_record record = {.authorization = span_str(authorization)};
    assert_int_equal(strlen(render("%(u)s", &record)), ACCESS_LOG_USER_MAX);
}

static void
test_no_room(void **state)
{
    (void)state;
    struct access_log_format *format;
    char *error;
    struct buf out;
    struct access_log_record record = typical();
    buf_init(&out, 300);
    assert_int_equal(buf_append(&out, "before", 6), 0);
    assert_int_equal(access_log_compile("%(a)s%(a)s%(a)s%(a)s%(a)s%(a)s", &format, &error), 0);
    assert_int_equal(access_log_render(format, &record, &out), -ENOBUFS);
    assert_int_equal(out.len, 6);
    access_log_format_free(format);
    buf_fini(&out);
}

/* --- the destination --- */

struct place {
    char directory[64];
    char path[96];
    char moved[96];
    struct access_log_format *format;
    struct access_log log;
};

static int
setup(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    char *error;
    (void)signal(SIGPIPE, SIG_IGN); /* as in every process that hosts Python */
    (void)snprintf(place->directory, sizeof(place->directory), "/tmp/saola-test-XXXXXX");
    if (!mkdtemp(place->directory) ||
        access_log_compile("%(s)s %(a)s", &place->format, &error) < 0) {
        return -1;
    }
    (void)snprintf(place->path, sizeof(place->path), "%s/access.log", place->directory);
    (void)snprintf(place->moved, sizeof(place->moved), "%s/access.log.1", place->directory);
    access_log_init(&place->log);
    *state = place;
    return 0;
}

static int
teardown(void **state)
{
    struct place *place = *state;
    access_log_close(&place->log);
    access_log_format_free(place->format);
    (void)unlink(place->path);
    (void)unlink(place->moved);
    (void)rmdir(place->directory);
    free(place);
    return 0;
}

static void
add(struct place *place, int status, struct span agent)
{
    struct access_log_record record = {.status = status, .user_agent = agent};
    access_log_add(&place->log, &record);
}

/* The contents of a small file; valid until the next call. */
static const char *
contents(const char *path)
{
    static char text[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0) {
        close(fd);
    }
    text[n < 0 ? 0 : n] = '\0';
    return text;
}

static void
test_file(void **state)
{
    struct place *place = *state;
    assert_false(access_log_enabled(&place->log));
    access_log_flush(&place->log);
    assert_int_equal(access_log_open(&place->log, place->path, place->format, false), 0);
    assert_true(access_log_enabled(&place->log));
    add(place, 200, SPAN("one"));
    add(place, 201, SPAN("two"));
    assert_string_equal(contents(place->path), ""); /* only at the end of the turn */
    access_log_flush(&place->log);
    assert_string_equal(contents(place->path), "200 one\n201 two\n");

    assert_int_equal(rename(place->path, place->moved), 0);
    add(place, 202, SPAN("three"));
    access_log_reopen(&place->log);
    add(place, 203, SPAN("four"));
    access_log_flush(&place->log);
    assert_string_equal(contents(place->moved), "200 one\n201 two\n202 three\n");
    assert_string_equal(contents(place->path), "203 four\n");

    add(place, 204, SPAN("five"));
    assert_int_equal(access_log_open(&place->log, NULL, NULL, false), 0);
    assert_false(access_log_enabled(&place->log));
    assert_string_equal(contents(place->path), "203 four\n204 five\n");
}

static void
test_cannot_be_opened(void **state)
{
    struct place *place = *state;
    assert_int_equal(access_log_open(&place->log, place->path, place->format, false), 0);
    assert_int_equal(access_log_open(&place->log, place->directory, place->format, false), -EISDIR);
    add(place, 200, SPAN("still"));
    access_log_flush(&place->log);
    assert_string_equal(contents(place->path), "200 still\n");
}

/* An access log that writes to a pipe of the smallest size; returns the end to read from. */
static int
open_pipe(struct place *place, bool nonblocking)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_true(fcntl(fds[1], F_SETPIPE_SZ, 4096) >= 4096);
    if (nonblocking) {
        assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    }
    place->log.file = LOG_FILE(fds[1]);
    place->log.format = place->format;
    place->log.write_max = PIPE_BUF;
    return fds[0];
}

static void
close_pipe(struct place *place)
{
    close(place->log.file.fd);
    buf_fini(&place->log.lines);
    access_log_init(&place->log);
}

/* Reads what is there; counts lines, which must be those that add() makes of `agent`. */
static int
read_lines(int fd, struct buf *rest, const char *line)
{
    char bytes[8192];
    ssize_t n = read(fd, bytes, sizeof(bytes));
    int count = 0;
    assert_true(n >= 0);
    assert_int_equal(buf_append(rest, bytes, (size_t)n), 0);
    const char *end;
    while ((end = memchr(buf_begin(rest), '\n', rest->len)) != NULL) {
        size_t length = (size_t)(end - buf_begin(rest));
        assert_int_equal(length, strlen(line));
        assert_memory_equal(buf_begin(rest), line, length);
        buf_consume(rest, length + 1);
        count++;
    }
    return count;
}

static void
test_pipe_gets_whole_lines(void **state)
{
    struct place *place = *state;
    int fd = open_pipe(place, true);
    struct buf rest;
    int lines = 0;
    buf_init(&rest, 1 << 20);
    for (int i = 0; i < 1000; i++) {
        add(place, 200, SPAN("a line of some length"));
    }
    access_log_flush(&place->log);
    assert_true(place->log.lines.len > 0); /* the pipe is full, nobody waited */
    while (place->log.lines.len > 0) {
        int n = read_lines(fd, &rest, "200 a line of some length");
        assert_int_equal(rest.len, 0); /* each write was whole lines */
        assert_true(n > 0);
        lines += n;
        access_log_flush(&place->log);
    }
    lines += read_lines(fd, &rest, "200 a line of some length");
    assert_int_equal(lines, 1000);
    assert_int_equal(place->log.lost, 0);
    close_pipe(place);
    close(fd);
    buf_fini(&rest);
}

static void
test_full_pipe_drops_and_counts(void **state)
{
    struct place *place = *state;
    static char agent[1000];
    int fd = open_pipe(place, true);
    memset(agent, 'x', sizeof(agent));
    assert_int_equal(log_open("/dev/null"), 0);
    for (int i = 0; i < 3000; i++) {
        add(place, 200, span_of(agent, sizeof(agent)));
        assert_true(place->log.lines.len < ACCESS_LOG_BACKLOG_BYTES + 2 * sizeof(agent));
    }
    assert_true(place->log.lost > 1000);
    log_close();
    close_pipe(place);
    close(fd);
}

static void
test_closed_pipe_loses_lines_only(void **state)
{
    struct place *place = *state;
    int fd = open_pipe(place, false);
    close(fd);
    assert_int_equal(log_open(place->path), 0);
    add(place, 200, SPAN("one"));
    add(place, 200, SPAN("two"));
    access_log_flush(&place->log);
    assert_int_equal(place->log.lines.len, 0);
    log_close();
    assert_non_null(
        strstr(contents(place->path), "[WARNING] 2 access log lines were lost: Broken"));
    close_pipe(place);
}

static void
test_full_disk(void **state)
{
    struct place *place = *state;
    if (access("/dev/full", W_OK) < 0) {
        skip();
    }
    assert_int_equal(log_open(place->moved), 0);
    assert_int_equal(access_log_open(&place->log, "/dev/full", place->format, false), 0);
    int64_t begin_ns = clock_mono_ns();
    for (int i = 0; i < 5; i++) {
        add(place, 200, SPAN("one"));
        access_log_flush(&place->log);
    }
    log_close();
    if (clock_mono_ns() - begin_ns >= NS_PER_SEC) {
        skip(); /* the machine has stalled */
    }
    const char *text = contents(place->moved);
    const char *first = strstr(text, "[WARNING] 1 access log lines were lost: No space left");
    assert_non_null(first);
    assert_null(strstr(first + 10, "WARNING")); /* not again within the second */
    assert_int_equal(place->log.lost, 4);
}

static void
test_torn_line_is_ended(void **state)
{
    struct place *place = *state;
    assert_int_equal(access_log_open(&place->log, place->path, place->format, false), 0);
    add(place, 200, SPAN("one"));
    assert_int_equal(write(place->log.file.fd, "200 o", 5),
                     5); /* what a disk that fills up takes */
    place->log.torn = true;
    access_log_flush(&place->log);
    assert_string_equal(contents(place->path), "200 o\n200 one\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_python),
        cmocka_unit_test(test_nothing_known),
        cmocka_unit_test(test_empty_texts),
        cmocka_unit_test(test_long_duration),
        cmocka_unit_test(test_bad_formats),
        cmocka_unit_test(test_needs),
        cmocka_unit_test(test_no_line_is_forged),
        cmocka_unit_test(test_every_byte_everywhere),
        cmocka_unit_test(test_precision_keeps_escapes_whole),
        cmocka_unit_test(test_long_text_is_cut),
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_long_user_is_cut),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test_setup_teardown(test_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cannot_be_opened, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pipe_gets_whole_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_pipe_drops_and_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_closed_pipe_loses_lines_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn_line_is_ended, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
