/* SPDX-License-Identifier: MIT */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];

static int
set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/saola-test-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    return rmdir(directory); /* fails if a test left a file */
}

static struct listener_options
default_options(void)
{
    return (struct listener_options){.backlog = 16, .uid = geteuid(), .gid = getegid()};
}

static struct addr
address(const char *text)
{
    struct addr addr;
    char *error = NULL;
    assert_int_equal(addr_parse(text, &addr, &error), 0);
    return addr;
}

static struct addr
unix_address(const char *name)
{
    char text[128];
    snprintf(text, sizeof(text), "unix:%s/%s", directory, name);
    return address(text);
}

static struct listener
open_listener(const struct addr *addr)
{
    struct listener l;
    struct listener_options options = default_options();
    char *error = NULL;
    assert_int_equal(listener_open(&l, addr, &options, &error), 0);
    return l;
}

static int
connect_to(const struct listener *l)
{
    struct sockaddr_storage storage;
    socklen_t length = sizeof(storage);
    assert_int_equal(getsockname(l->fd, (struct sockaddr *)&storage, &length), 0);
    int fd = socket(storage.ss_family, SOCK_STREAM, 0);
    int rc = connect(fd, (struct sockaddr *)&storage, length);
    close(fd);
    return rc;
}

static void
test_tcp(void **state)
{
    (void)state;
    struct addr addr = address("127.0.0.1:0");
    struct listener l = open_listener(&addr);
    assert_int_equal(strncmp(l.name, "http://127.0.0.1:", 17), 0);
    assert_int_not_equal(atoi(l.name + 17), 0);
    assert_true(fcntl(l.fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(l.fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(connect_to(&l), 0);
    listener_close(&l);
    assert_int_equal(l.fd, -1);
}

static void
test_port_in_use(void **state)
{
    (void)state;
    struct addr any = address("127.0.0.1:0");
    struct listener first = open_listener(&any);
    struct addr same = address(first.name + strlen("http://"));
    struct listener second;
    struct listener_options options = default_options();
    char *error = NULL;
    assert_int_equal(listener_open(&second, &same, &options, &error), -EADDRINUSE);
    assert_string_equal(error, "[Errno 98] Address already in use");
    free(error);
    listener_close(&first);
}

static void
test_unknown_host(void **state)
{
    (void)state;
    struct addr addr = address("no.such.host.invalid:0");
    struct listener l;
    struct listener_options options = default_options();
    char *error = NULL;
    assert_true(listener_open(&l, &addr, &options, &error) < 0);
    assert_non_null(error);
    free(error);
}

static void
test_unix_socket(void **state)
{
    (void)state;
    struct addr addr = unix_address("a");
    struct listener_options options = default_options();
    options.umask = 0117;
    struct listener l;
    char *error = NULL;
    mode_t before = umask(022);
    assert_int_equal(listener_open(&l, &addr, &options, &error), 0);
    assert_int_equal(umask(before), 022);

    struct stat st;
    assert_int_equal(stat(addr.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_int_equal(connect_to(&l), 0);
    listener_unlink(&l);
    assert_int_equal(access(addr.path, F_OK), -1);
    listener_close(&l);
}

static void
test_live_unix_socket_is_not_stolen(void **state)
{
    (void)state;
    struct addr addr = unix_address("live");
    struct listener first = open_listener(&addr);
    struct listener second;
    struct listener_options options = default_options();
    char *error = NULL;
    assert_int_equal(listener_open(&second, &addr, &options, &error), -EADDRINUSE);
    free(error);
    assert_int_equal(connect_to(&first), 0);
    listener_unlink(&first);
    listener_close(&first);
}

static void
test_stale_unix_socket_is_taken_over(void **state)
{
    (void)state;
    struct addr addr = unix_address("stale");
    struct listener dead = open_listener(&addr);
    listener_close(&dead);

    struct listener l = open_listener(&addr);
    assert_int_equal(connect_to(&l), 0);
    /* The dead one's file is gone: what stands at its path now is not its to remove. */
    struct stat st;
    assert_int_equal(stat(addr.path, &st), 0);
    if (st.st_ino != dead.path_ino) {
        listener_unlink(&dead);
        assert_int_equal(access(addr.path, F_OK), 0);
    }
    listener_unlink(&l);
    listener_close(&l);
}

static void
test_other_files_are_left_alone(void **state)
{
    (void)state;
    struct addr addr = unix_address("file");
    int fd = open(addr.path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    struct listener l;
    struct listener_options options = default_options();
    char *error = NULL;
    assert_int_equal(listener_open(&l, &addr, &options, &error), -ENOTSOCK);
    assert_non_null(strstr(error, "exists and is not a socket"));
    free(error);
    assert_int_equal(unlink(addr.path), 0);
}

static void
test_adopt(void **state)
{
    (void)state;
    struct addr addr = address("127.0.0.1:0");
    struct listener original = open_listener(&addr);
    struct listener adopted;
    char *error = NULL;
    assert_int_equal(listener_adopt(&adopted, original.fd, 16, false, &error), 0);
    assert_string_equal(adopted.name, original.name);
    listener_close(&adopted);

    int file = open("/dev/null", O_RDONLY);
    assert_int_equal(listener_adopt(&adopted, file, 16, false, &error), -ENOTSOCK);
    free(error);
    close(file);
    assert_int_equal(listener_adopt(&adopted, file, 16, false, &error), -EBADF);
    free(error);
}

static void
test_reuse_port(void **state)
{
    (void)state;
    struct addr addr = address("127.0.0.1:0");
    struct listener_options options = default_options();
    struct listener first;
    struct listener second;
    char *error = NULL;

    options.reuse_port = true;
    assert_int_equal(listener_open(&first, &addr, &options, &error), 0);
    addr = address(first.name + strlen("http://"));
    assert_int_equal(listener_open(&second, &addr, &options, &error), 0);
    assert_string_equal(first.name, second.name);
    listener_close(&first);
    assert_int_equal(connect_to(&second), 0);
    listener_close(&second);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_port_in_use),
        cmocka_unit_test(test_unknown_host),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_live_unix_socket_is_not_stolen),
        cmocka_unit_test(test_stale_unix_socket_is_taken_over),
        cmocka_unit_test(test_other_files_are_left_alone),
        cmocka_unit_test(test_adopt),
        cmocka_unit_test(test_reuse_port),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
