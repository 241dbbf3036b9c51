/* SPDX-License-Identifier: MIT */
#include "log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/macros.h"
#include "log/file.h"
#include "log/limit.h"
#include "log/quote.h"

struct place {
    char directory[64];
    char path[96];
    char moved[96];
};

static int
setup(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    (void)snprintf(place->directory, sizeof(place->directory), "/tmp/saola-test-XXXXXX");
    if (!mkdtemp(place->directory)) {
        return -1;
    }
    (void)snprintf(place->path, sizeof(place->path), "%s/error.log", place->directory);
    (void)snprintf(place->moved, sizeof(place->moved), "%s/error.log.1", place->directory);
    log_set_level(LOG_LEVEL_INFO);
    *state = place;
    return log_open(place->path);
}

static int
teardown(void **state)
{
    struct place *place = *state;
    log_close();
    (void)chmod(place->directory, 0700);
    (void)unlink(place->path);
    (void)unlink(place->moved);
    (void)rmdir(place->directory);
    free(place);
    return 0;
}

/* The contents of a file; valid until the next call. */
static char *
contents(const char *path)
{
    static char text[1 << 20];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0) {
        close(fd);
    }
    text[n < 0 ? 0 : n] = '\0';
    return text;
}

static void
assert_matches(const char *text, const char *pattern)
{
    regex_t regex;
    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    int rc = regexec(&regex, text, 0, NULL, 0);
    regfree(&regex);
    if (rc != 0) {
        fail_msg("%s\ndoes not match %s", text, pattern);
    }
}

#define STAMP "\\[2[0-9]{3}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9] [+-][0-9]{4}\\]"

/* --- lines --- */

static void
test_line(void **state)
{
    struct place *place = *state;
    char pattern[256];
    log_info("hello %s", "world");
    (void)snprintf(pattern, sizeof(pattern), "^" STAMP " \\[%ld\\] \\[INFO\\] hello world\n$",
                   (long)getpid());
    assert_matches(contents(place->path), pattern);
}

static void
test_stamp_is_that_of_strftime(void **state)
{
    struct place *place = *state;
    static const char *const zones[] = {"UTC", "Asia/Kathmandu", "<-0330>3:30", "EST5"};
    for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
        char before[64];
        char after[64];
        time_t now = time(NULL);
        (void)setenv("TZ", zones[i], 1);
        tzset();
        (void)strftime(before, sizeof(before), "[%Y-%m-%d %H:%M:%S %z]", localtime(&now));
        log_info("x");
        now = time(NULL);
        (void)strftime(after, sizeof(after), "[%Y-%m-%d %H:%M:%S %z]", localtime(&now));
        char *text = contents(place->path);
        assert_true(strncmp(text, before, strlen(before)) == 0 ||
                    strncmp(text, after, strlen(after)) == 0);
        assert_int_equal(truncate(place->path, 0), 0);
    }
    (void)unsetenv("TZ");
    tzset();
}

static void
test_levels(void **state)
{
    struct place *place = *state;
    int evaluated = 0;
    log_debug("no %d", ++evaluated);
    assert_int_equal(evaluated, 0);
    log_critical("1");
    log_error("2");
    log_warning("3");
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("4");
    log_printf(LOG_LEVEL_WARNING + 5, "5");
    log_set_level(LOG_LEVEL_CRITICAL);
    log_error("no");
    assert_matches(contents(place->path), "CRITICAL\\] 1\n.*ERROR\\] 2\n.*WARNING\\] 3\n.*DEBUG\\] "
                                          "4\n.*WARNING\\] 5\n$");
}

static void
test_level_names(void **state)
{
    (void)state;
    assert_int_equal(log_level_from("debug"), LOG_LEVEL_DEBUG);
    assert_int_equal(log_level_from("Warning"), LOG_LEVEL_WARNING);
    assert_int_equal(log_level_from("CRITICAL"), LOG_LEVEL_CRITICAL);
    assert_int_equal(log_level_from("error"), LOG_LEVEL_ERROR);
    assert_int_equal(log_level_from("verbose"), LOG_LEVEL_INFO);
    assert_int_equal(log_level_from(""), LOG_LEVEL_INFO);
    assert_string_equal(log_level_name(0), "DEBUG");
    assert_string_equal(log_level_name(25), "INFO");
    assert_string_equal(log_level_name(1000), "CRITICAL");
}

static void
test_traceback_is_one_message(void **state)
{
    struct place *place = *state;
    log_error("Error handling request GET /\nTraceback (most recent call last):\n  ...\n\n");
    log_write(LOG_LEVEL_INFO, SPAN(""));
    assert_matches(contents(place->path),
                   "^" STAMP " \\[[0-9]+\\] \\[ERROR\\] Error handling request GET /\n"
                   "Traceback \\(most recent call last\\):\n  \\.\\.\\.\n"
                   "\\[.*\\] \\[INFO\\] \n$");
}

static void
test_long_message_is_whole(void **state)
{
    struct place *place = *state;
    static char text[100 * 1000];
    static const size_t lengths[] = {1800, 1900, 2047, 2048, 2049, sizeof(text) - 1};
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        int length = (int)lengths[i];
        assert_int_equal(truncate(place->path, 0), 0);
        log_info("%.*s|", length, text);
        char *line = contents(place->path);
        char *begin = strchr(line, 'x');
        assert_int_equal(strspn(begin, "x"), lengths[i]);
        assert_string_equal(begin + lengths[i], "|\n");
    }
}

static void
test_errno_is_kept_and_shown(void **state)
{
    struct place *place = *state;
    errno = ENOSPC;
    log_info("%m");
    assert_int_equal(errno, ENOSPC);
    assert_non_null(strstr(contents(place->path), "] No space left on device\n"));
}

/* --- destinations --- */

static void
test_reopen_after_rename(void **state)
{
    struct place *place = *state;
    log_info("one");
    assert_int_equal(rename(place->path, place->moved), 0);
    log_info("two");
    int fd = log_fd();
    assert_int_equal(log_reopen(), 0);
    assert_int_equal(log_fd(), fd);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_APPEND);
    log_info("three");
    assert_matches(contents(place->moved), "one\n.*two\n$");
    assert_matches(contents(place->path), "^[^\n]*three\n$");
}

static void
test_reopen_that_fails(void **state)
{
    struct place *place = *state;
    assert_int_equal(rename(place->path, place->moved), 0);
    assert_int_equal(mkdir(place->path, 0700), 0); /* root may write anywhere, but not to this */
    assert_int_equal(log_reopen(), -EISDIR);
    log_info("after");
    assert_int_equal(rmdir(place->path), 0);
    assert_matches(contents(place->moved),
                   "\\[ERROR\\] Error: '/tmp/.*/error.log' isn't writable "
                   "\\[IsADirectoryError\\(21, 'Is a directory'\\)\\]; .*\n.*after\n$");
}

static void
test_relative_path_survives_chdir(void **state)
{
    struct place *place = *state;
    int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(chdir(place->directory), 0);
    assert_int_equal(log_open("error.log"), 0);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rename(place->path, place->moved), 0);
    assert_int_equal(log_reopen(), 0);
    log_info("here");
    assert_int_equal(fchdir(home), 0);
    close(home);
    assert_non_null(strstr(contents(place->path), "here\n"));
}

static void
test_cannot_be_opened(void **state)
{
    struct place *place = *state;
    assert_int_equal(log_open("/nonexistent/error.log"), -ENOENT);
    assert_true(log_is_file());
    log_info("still here");
    assert_non_null(strstr(contents(place->path), "still here\n"));

    char *text = log_file_error("/nonexistent/error.log", -ENOENT);
    assert_string_equal(text, "Error: '/nonexistent/error.log' isn't writable "
                              "[FileNotFoundError(2, 'No such file or directory')]");
    free(text);
    text = log_file_error("x", EACCES);
    assert_string_equal(text,
                        "Error: 'x' isn't writable [PermissionError(13, 'Permission denied')]");
    free(text);
}

static void
test_standard_error(void **state)
{
    struct place *place = *state;
    int saved = dup(STDERR_FILENO);
    int fd = open(place->moved, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(log_open("-"), 0);
    bool is_file = log_is_file();
    log_info("on stderr");
    int reopened = log_reopen();
    log_close();
    bool open_still = fcntl(STDERR_FILENO, F_GETFD) >= 0;
    (void)dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    assert_false(is_file);
    assert_int_equal(reopened, 0);
    assert_true(open_still);
    assert_non_null(strstr(contents(place->moved), "on stderr\n"));
}

static void
test_lost_messages_are_counted(void **state)
{
    struct place *place = *state;
    if (access("/dev/full", W_OK) < 0) {
        skip();
    }
    assert_int_equal(log_open("/dev/full"), 0);
    log_info("lost");
    log_info("lost");
    assert_int_equal(log_open(place->path), 0);
    log_info("found");
    assert_matches(contents(place->path),
                   "\\[WARNING\\] 2 messages could not be logged\n.*found\n$");
}

/* --- many writers --- */

enum { WRITERS = 4, LINES = 400 };

static void *
write_lines(void *argument)
{
    int writer = *(int *)argument;
    char filler[64];
    memset(filler, 'a' + writer, sizeof(filler));
    for (int i = 0; i < LINES; i++) {
        log_info("%d %d %.*s\n  second line of %d", writer, i, (int)sizeof(filler), filler, writer);
    }
    return NULL;
}

/* Every message is there, whole and in its writer's order. */
static void
check_lines(char *text, int writers)
{
    int next[2 * WRITERS] = {0};
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        int writer;
        int number;
        int second;
        char filler[65];
        assert_int_equal(sscanf(line, "[%*[^]]] [%*d] [INFO] %d %d %64s", &writer, &number, filler),
                         3);
        assert_in_range(writer, 0, writers - 1);
        assert_int_equal(number, next[writer]++);
        assert_int_equal(strspn(filler, (char[]){(char)('a' + writer), '\0'}), 64);
        line = strtok_r(NULL, "\n", &save);
        assert_non_null(line);
        assert_int_equal(sscanf(line, "  second line of %d", &second), 1);
        assert_int_equal(second, writer);
    }
    for (int i = 0; i < writers; i++) {
        assert_int_equal(next[i], LINES);
    }
}

static void
test_threads(void **state)
{
    struct place *place = *state;
    pthread_t threads[WRITERS];
    int numbers[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &numbers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    check_lines(contents(place->path), WRITERS);
}

static void
test_threads_while_reopening(void **state)
{
    struct place *place = *state;
    pthread_t threads[WRITERS];
    int numbers[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &numbers[i]), 0);
    }
    for (int i = 0; i < 50; i++) {
        assert_int_equal(log_reopen(), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    check_lines(contents(place->path), WRITERS);
}

static void
test_processes(void **state)
{
    struct place *place = *state;
    pid_t pids[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            write_lines(&i);
            _exit(0);
        }
    }
    for (int i = 0; i < WRITERS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    char pattern[32];
    char *text = contents(place->path);
    for (int i = 0; i < WRITERS; i++) {
        (void)snprintf(pattern, sizeof(pattern), " [%ld] ", (long)pids[i]);
        assert_non_null(strstr(text, pattern));
    }
    check_lines(text, WRITERS);
}

/* --- limits --- */

static void
test_limit_decides(void **state)
{
    (void)state;
    struct log_limit limit = {0};
    uint32_t suppressed;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(log_limit_pass(&limit, 5 * NS_PER_SEC + i, &suppressed),
                         i < LOG_LIMIT_PER_SECOND);
        assert_int_equal(suppressed, 0);
    }
    assert_true(log_limit_pass(&limit, 9 * NS_PER_SEC, &suppressed));
    assert_int_equal(suppressed, 50 - LOG_LIMIT_PER_SECOND);
    assert_true(log_limit_pass(&limit, 10 * NS_PER_SEC, &suppressed));
    assert_int_equal(suppressed, 0);
}

static struct log_limit shared_limit;

static void *
pass_often(void *argument)
{
    intptr_t passed = 0;
    (void)argument;
    for (int i = 0; i < 10000; i++) {
        uint32_t suppressed;
        passed += log_limit_pass(&shared_limit, NS_PER_SEC, &suppressed);
    }
    return (void *)passed;
}

static void
test_limit_of_threads(void **state)
{
    (void)state;
    pthread_t threads[WRITERS];
    intptr_t passed = 0;
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, pass_often, NULL), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        void *result;
        (void)pthread_join(threads[i], &result);
        passed += (intptr_t)result;
    }
    assert_int_equal(passed, LOG_LIMIT_PER_SECOND);
    uint32_t suppressed;
    assert_true(log_limit_pass(&shared_limit, 3 * NS_PER_SEC, &suppressed));
    assert_int_equal(suppressed, WRITERS * 10000 - LOG_LIMIT_PER_SECOND);
}

static void
test_limited_lines(void **state)
{
    struct place *place = *state;
    static struct log_limit limit;
    int64_t begin = clock_mono_ns();
    int tries = 0;
    /* Until the next second, when the suppressed ones are reported. */
    while (!strstr(contents(place->path), "lines like the next one were suppressed\n")) {
        for (int i = 0; i < 1000; i++, tries++) {
            log_limited(&limit, LOG_LEVEL_WARNING, "peer %d", i);
        }
        assert_true(clock_mono_ns() - begin < 20 * NS_PER_SEC);
    }
    assert_true(tries > 2 * LOG_LIMIT_PER_SECOND);
    assert_matches(contents(place->path),
                   "\\[WARNING\\] peer 9\n.*\\] [0-9]+ lines like the next one were "
                   "suppressed\n.*\\[WARNING\\] peer [0-9]+\n");
}

static void
test_limited_line_is_cut(void **state)
{
    struct place *place = *state;
    struct log_limit limit = {0};
    static char text[LOG_LIMIT_LINE_BYTES];
    memset(text, 'x', sizeof(text) - 1);
    log_limited(&limit, LOG_LEVEL_DEBUG, "filtered");
    log_limited(&limit, LOG_LEVEL_ERROR, "%s", text);
    log_limited(&limit, LOG_LEVEL_ERROR, "%sy", text);
    assert_matches(contents(place->path), "^[^\n]*\\] x+\n[^\n]*\\] x+ \\[cut\\]\n$");
}

/* --- quotes --- */

static void
test_quote(void **state)
{
    (void)state;
    char out[LOG_QUOTE_TEXT_BYTES];
    assert_string_equal(log_quote_text(out, sizeof(out), SPAN("plain text")), "plain text");
    assert_string_equal(
        log_quote_text(out, sizeof(out), SPAN("a\"b'c\\d\r\n\t\x01\x7f\x80\xff\0e")),
        "a\\\"b\\'c\\\\d\\r\\n\\t\\x01\\x7f\\x80\\xff\\x00e");
    assert_string_equal(log_quote_text(out, sizeof(out), (struct span){NULL, 0}), "");
}

static void
test_quote_is_cut(void **state)
{
    (void)state;
    char out[16];
    assert_string_equal(log_quote_text(out, 8, SPAN("1234567")), "1234567");
    assert_string_equal(log_quote_text(out, 8, SPAN("12345678")), "1234...");
    assert_string_equal(log_quote_text(out, 8, SPAN("123\n5678")), "123...");
    assert_string_equal(log_quote_text(out, 8, SPAN("12\n5678")), "12\\n...");

    static char text[LOG_QUOTE_MAX + 1];
    struct buf buf;
    memset(text, '\n', sizeof(text));
    buf_init(&buf, 1 << 16);
    assert_int_equal(buf_append(&buf, "x", 1), 0);
    log_quote(&buf, span_of(text, sizeof(text)));
    assert_int_equal(buf.len, 1 + 2 * LOG_QUOTE_MAX + 3);
    assert_memory_equal(buf_end(&buf) - 5, "\\n...", 5);
    buf_fini(&buf);

    buf_init(&buf, 10);
    assert_int_equal(buf_append(&buf, "x", 1), 0);
    log_quote(&buf, SPAN("1234567890123"));
    assert_int_equal(buf.len, 10);
    assert_memory_equal(buf_begin(&buf), "x123456...", 10);
    buf_fini(&buf);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(test_line),
        IN_PLACE(test_stamp_is_that_of_strftime),
        IN_PLACE(test_levels),
        cmocka_unit_test(test_level_names),
        IN_PLACE(test_traceback_is_one_message),
        IN_PLACE(test_long_message_is_whole),
        IN_PLACE(test_errno_is_kept_and_shown),
        IN_PLACE(test_reopen_after_rename),
        IN_PLACE(test_reopen_that_fails),
        IN_PLACE(test_relative_path_survives_chdir),
        IN_PLACE(test_cannot_be_opened),
        IN_PLACE(test_standard_error),
        IN_PLACE(test_lost_messages_are_counted),
        IN_PLACE(test_threads),
        IN_PLACE(test_threads_while_reopening),
        IN_PLACE(test_processes),
        cmocka_unit_test(test_limit_decides),
        cmocka_unit_test(test_limit_of_threads),
        IN_PLACE(test_limited_lines),
        IN_PLACE(test_limited_line_is_cut),
        cmocka_unit_test(test_quote),
        cmocka_unit_test(test_quote_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
