/* SPDX-License-Identifier: MIT */
/* What goes to syslog and StatsD, received on loopback; and messages that are diverted. */
#include "log/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/macros.h"
#include "log/statsd.h"
#include "log/syslog.h"

enum { PATIENCE_MS = 10000, MESSAGE_BYTES = 128 * 1024 };

/* A socket on loopback, listening if it is a stream. */
static int
receiver(int type, unsigned *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, type, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    if (type == SOCK_STREAM) {
        assert_int_equal(listen(fd, 8), 0);
    }
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static int
unix_receiver(int type, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, type, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    if (type == SOCK_STREAM) {
        assert_int_equal(listen(fd, 8), 0);
    }
    return fd;
}

static bool
readable(int fd, int patience_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, patience_ms) > 0;
}

/* One datagram; valid until the next call. */
static const char *
receive(int fd)
{
    static char text[MESSAGE_BYTES];
    assert_true(readable(fd, PATIENCE_MS));
    ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

/* A message of a stream, up to its NUL. */
static const char *
receive_message(int fd)
{
    static char text[MESSAGE_BYTES];
    size_t n = 0;
    do {
        assert_true(readable(fd, PATIENCE_MS));
        assert_int_equal(recv(fd, text + n, 1, 0), 1);
    } while (text[n++] != '\0');
    return text;
}

/* --- StatsD --- */

static struct statsd *
statsd_at(unsigned port, const char *prefix, const char *tags)
{
    char *error = NULL;
    struct statsd_options options = {
        .host = "127.0.0.1", .port = port, .prefix = prefix, .tags = tags};
    struct statsd *statsd = statsd_new(&options, &error);
    assert_non_null(statsd);
    return statsd;
}

static const struct {
    const char *prefix;
    const char *shown;
} PREFIXES[] = {
    {"", ""},   {"a", "a"},     {"ab", "ab."}, {"ab.", "ab."},  {"ab..", "ab."},   {"a.", "a."},
    {".", "."}, {"...", "..."}, {".a", ".a."}, {"a.b", "a.b."}, {"a..b", "a..b."}, {"a b.", "a b."},
};

static void
test_prefixes(void **state)
{
    (void)state;
    unsigned port;
    int fd = receiver(SOCK_DGRAM, &port);
    for (size_t i = 0; i < ARRAY_LEN(PREFIXES); i++) {
        char expected[64];
        struct statsd *statsd = statsd_at(port, PREFIXES[i].prefix, "");
        statsd_gauge(statsd, "x", 1);
        (void)snprintf(expected, sizeof(expected), "%sx:1|g", PREFIXES[i].shown);
        assert_string_equal(receive(fd), expected);
        statsd_free(statsd);
    }
    close(fd);
}

static const struct {
    int64_t ns;
    const char *ms;
} DURATIONS[] = {
    {0, "0.0"},           {-5, "0.0"},         {999, "0.0"},
    {1000, "0.001"},      {500000, "0.5"},     {12000000, "12.0"},
    {12345678, "12.345"}, {12340000, "12.34"}, {INT64_C(90061000001000), "90061000.001"},
};

static void
test_requests(void **state)
{
    (void)state;
    unsigned port;
    int fd = receiver(SOCK_DGRAM, &port);
    struct statsd *statsd = statsd_at(port, "app", "a:b,c");
    for (size_t i = 0; i < ARRAY_LEN(DURATIONS); i++) {
        char expected[96];
        statsd_request(statsd, 404, DURATIONS[i].ns);
        (void)snprintf(expected, sizeof(expected), "app.gunicorn.request.duration:%s|ms|#a:b,c",
                       DURATIONS[i].ms);
        assert_string_equal(receive(fd), expected);
        assert_string_equal(receive(fd), "app.gunicorn.requests:1|c|@1.0|#a:b,c");
        assert_string_equal(receive(fd), "app.gunicorn.request.status.404:1|c|@1.0|#a:b,c");
    }
    statsd_free(statsd);
    close(fd);
}

static void
test_nobody_listens(void **state)
{
    (void)state;
    unsigned port;
    close(receiver(SOCK_DGRAM, &port));
    struct statsd *statsd = statsd_at(port, "app", "");
    errno = 4711;
    for (int i = 0; i < 10; i++) {
        statsd_request(statsd, 200, 1);
        statsd_increment(statsd, "x", 1);
    }
    assert_int_equal(errno, 4711);
    statsd_free(statsd);
}

static void
test_no_such_host(void **state)
{
    (void)state;
    char *error = NULL;
    struct statsd_options options = {
        .host = "no.such.host.invalid", .port = 1, .prefix = "", .tags = ""};
    assert_null(statsd_new(&options, &error));
    assert_non_null(strstr(error, "no.such.host.invalid: "));
    free(error);
}

/* --- syslog --- */

static struct syslog *
syslog_at(int type, unsigned port, const char *path)
{
    char *error = NULL;
    struct syslog_options options = {
        .type = type,
        .host = path ? NULL : "127.0.0.1",
        .port = port,
        .path = path,
        .facility = 1,
        .prefix = "app",
    };
    struct syslog *syslog = syslog_new(&options, &error);
    assert_non_null(syslog);
    return syslog;
}

static void
assert_message(const char *message, int priority, const char *log, const char *text)
{
    char expected[256];
    (void)snprintf(expected, sizeof(expected), "<%d>gunicorn.app.%s: [%d] %s", priority, log,
                   (int)getpid(), text);
    assert_string_equal(message, expected);
}

static void
test_severities(void **state)
{
    (void)state;
    static const struct {
        int level;
        int priority;
    } levels[] = {{LOG_LEVEL_DEBUG, 15},
                  {LOG_LEVEL_INFO, 14},
                  {LOG_LEVEL_WARNING, 12},
                  {LOG_LEVEL_ERROR, 11},
                  {LOG_LEVEL_CRITICAL, 10},
                  {35, 12},
                  {99, 10},
                  {0, 15}};
    unsigned port;
    int fd = receiver(SOCK_DGRAM, &port);
    struct syslog *syslog = syslog_at(SOCK_DGRAM, port, NULL);
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        syslog_error(syslog, levels[i].level, SPAN("a\nb"));
        assert_message(receive(fd), levels[i].priority, "error", "a\nb");
    }
    syslog_access(syslog, SPAN("line"));
    assert_message(receive(fd), 14, "access", "line");
    syslog_send(syslog, LOG_LEVEL_ERROR, SPAN("as it is"));
    assert_string_equal(receive(fd), "<11>as it is");
    syslog_free(syslog);
    close(fd);
}

static void
test_long_message_is_cut(void **state)
{
    (void)state;
    static char text[100 * 1024];
    unsigned port;
    int fd = receiver(SOCK_DGRAM, &port);
    struct syslog *syslog = syslog_at(SOCK_DGRAM, port, NULL);
    memset(text, 'x', sizeof(text));
    syslog_send(syslog, LOG_LEVEL_INFO, span_of(text, sizeof(text)));
    assert_int_equal(strlen(receive(fd)), 60 * 1024);
    syslog_free(syslog);
    close(fd);
}

/* A child must not write into its parent's connection. */
static void
test_a_connection_per_process(void **state)
{
    (void)state;
    unsigned port;
    int fd = receiver(SOCK_STREAM, &port);
    struct syslog *syslog = syslog_at(SOCK_STREAM, port, NULL);
    syslog_connect(syslog);
    syslog_send(syslog, LOG_LEVEL_INFO, SPAN("parent"));
    int parent = accept(fd, NULL, NULL);
    assert_string_equal(receive_message(parent), "<14>parent");
    pid_t pid = fork();
    if (pid == 0) {
        syslog_send(syslog, LOG_LEVEL_INFO, SPAN("child"));
        syslog_connect(syslog);
        syslog_send(syslog, LOG_LEVEL_INFO, SPAN("child again"));
        _exit(0);
    }
    assert_true(readable(fd, PATIENCE_MS));
    int child = accept(fd, NULL, NULL);
    assert_string_equal(receive_message(child), "<14>child");
    assert_string_equal(receive_message(child), "<14>child again");
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_false(readable(parent, 0));
    syslog_free(syslog);
    close(parent);
    close(child);
    close(fd);
}

/* What is lost while nobody listens is told to whoever listens then. */
static void
test_lost_messages_are_counted(void **state)
{
    (void)state;
    char directory[] = "/tmp/saola-test-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/log", directory);
    struct syslog *syslog = syslog_at(0, 0, path);
    for (int i = 0; i < 3; i++) {
        syslog_error(syslog, LOG_LEVEL_INFO, SPAN("lost"));
    }
    int fd = unix_receiver(SOCK_DGRAM, path);
    syslog_error(syslog, LOG_LEVEL_INFO, SPAN("found"));
    assert_message(receive(fd), 14, "error", "found");
    assert_message(receive(fd), 12, "error", "3 messages could not be sent");
    syslog_error(syslog, LOG_LEVEL_INFO, SPAN("more"));
    assert_message(receive(fd), 14, "error", "more");
    syslog_free(syslog);
    close(fd);
    (void)unlink(path);
    (void)rmdir(directory);
}

/* A unix socket may be of either type. */
static void
test_unix_stream(void **state)
{
    (void)state;
    char directory[] = "/tmp/saola-test-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/log", directory);
    int fd = unix_receiver(SOCK_STREAM, path);
    struct syslog *syslog = syslog_at(0, 0, path);
    syslog_error(syslog, LOG_LEVEL_INFO, SPAN("hello"));
    int connection = accept(fd, NULL, NULL);
    assert_message(receive_message(connection), 14, "error", "hello");
    syslog_free(syslog);
    close(connection);
    close(fd);
    (void)unlink(path);
    (void)rmdir(directory);
}

/* Nobody accepts or reads: what does not fit is dropped, soon. */
static void
test_a_deaf_server_blocks_nobody(void **state)
{
    (void)state;
    static char text[8 * 1024];
    unsigned port;
    int fd = receiver(SOCK_STREAM, &port);
    struct syslog *syslog = syslog_at(SOCK_STREAM, port, NULL);
    memset(text, 'x', sizeof(text));
    int64_t start_ns = clock_mono_ns();
    for (int i = 0; i < 2000; i++) {
        syslog_error(syslog, LOG_LEVEL_INFO, span_of(text, sizeof(text)));
    }
    assert_true(clock_mono_ns() - start_ns < 60 * NS_PER_SEC);
    syslog_free(syslog);
    close(fd);
}

static void *
send_many(void *context)
{
    for (int i = 0; i < 500; i++) {
        syslog_error(context, LOG_LEVEL_INFO, SPAN("one of many"));
    }
    return NULL;
}

static void
test_threads(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    unsigned port;
    int fd = receiver(SOCK_STREAM, &port);
    struct syslog *syslog = syslog_at(SOCK_STREAM, port, NULL);
    syslog_connect(syslog);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, syslog), 0);
    }
    int connection = accept(fd, NULL, NULL);
    for (int i = 0; i < 500; i++) {
        assert_message(receive_message(connection), 14, "error", "one of many");
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    syslog_free(syslog);
    close(connection);
    close(fd);
}

/* --- the log --- */

static int
quiet(void **state)
{
    (void)state;
    log_set_level(LOG_LEVEL_WARNING);
    return log_open("/dev/null");
}

static int
restore(void **state)
{
    (void)state;
    log_set_divert(NULL, NULL);
    log_set_syslog(NULL);
    log_set_statsd(NULL);
    log_close();
    log_set_level(LOG_LEVEL_INFO);
    return 0;
}

static void
test_messages_go_everywhere(void **state)
{
    (void)state;
    unsigned syslog_port;
    unsigned statsd_port;
    int syslog_fd = receiver(SOCK_DGRAM, &syslog_port);
    int statsd_fd = receiver(SOCK_DGRAM, &statsd_port);
    log_set_syslog(syslog_at(SOCK_DGRAM, syslog_port, NULL));
    log_set_statsd(statsd_at(statsd_port, "", ""));
    log_info("filtered");
    log_warning("w %d\n", 1);
    assert_message(receive(syslog_fd), 12, "error", "w 1");
    assert_string_equal(receive(statsd_fd), "gunicorn.log.warning:1|c|@1.0");
    log_error("e");
    assert_message(receive(syslog_fd), 11, "error", "e");
    assert_string_equal(receive(statsd_fd), "gunicorn.log.error:1|c|@1.0");
    log_critical("c");
    assert_message(receive(syslog_fd), 10, "error", "c");
    assert_string_equal(receive(statsd_fd), "gunicorn.log.critical:1|c|@1.0");
    const struct log_metric gauge = {"workers", "gauge", 3};
    const struct log_metric histogram = {"backlog", "histogram", 0};
    log_metric(&gauge, "%d workers", 3);
    log_metric(&histogram, "backlog");
    assert_string_equal(receive(statsd_fd), "workers:3|g");
    assert_string_equal(receive(statsd_fd), "backlog:0|h");
    assert_false(readable(syslog_fd, 0));
    close(syslog_fd);
    close(statsd_fd);
}

struct diverted {
    char text[256];
    int level;
    const struct log_metric *metric;
    bool refuse;
};

static bool
divert(void *context, int level, struct span message, const struct log_metric *metric)
{
    struct diverted *diverted = context;
    (void)snprintf(diverted->text, sizeof(diverted->text), "%.*s", (int)message.n, message.p);
    diverted->level = level;
    diverted->metric = metric;
    return !diverted->refuse;
}

static void
test_diverted_messages(void **state)
{
    (void)state;
    struct diverted diverted = {.text = ""};
    unsigned port;
    int fd = receiver(SOCK_DGRAM, &port);
    log_set_syslog(syslog_at(SOCK_DGRAM, port, NULL));
    log_set_divert(divert, &diverted);
    log_info("filtered");
    assert_string_equal(diverted.text, "");
    log_warning("taken\n");
    assert_string_equal(diverted.text, "taken");
    assert_int_equal(diverted.level, LOG_LEVEL_WARNING);
    assert_null(diverted.metric);
    const struct log_metric metric = {"workers", "gauge", 3};
    log_metric(&metric, "%d workers", 3); /* whatever the level */
    assert_string_equal(diverted.text, "3 workers");
    assert_ptr_equal(diverted.metric, &metric);
    assert_false(readable(fd, 0));
    diverted.refuse = true;
    log_error("refused");
    assert_message(receive(fd), 11, "error", "refused");
    diverted.refuse = false;
    log_write_here(LOG_LEVEL_ERROR, SPAN("never diverted"));
    assert_message(receive(fd), 11, "error", "never diverted");
    close(fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_no_such_host),
        cmocka_unit_test(test_severities),
        cmocka_unit_test(test_long_message_is_cut),
        cmocka_unit_test(test_a_connection_per_process),
        cmocka_unit_test(test_lost_messages_are_counted),
        cmocka_unit_test(test_unix_stream),
        cmocka_unit_test(test_a_deaf_server_blocks_nobody),
        cmocka_unit_test(test_threads),
        cmocka_unit_test_setup_teardown(test_messages_go_everywhere, quiet, restore),
        cmocka_unit_test_setup_teardown(test_diverted_messages, quiet, restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
