/* SPDX-License-Identifier: MIT */
#include "proc/systemd.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static int
listen_fds(const char *pid, const char *fds)
{
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", fds, 1);
    int n = systemd_listen_fds();
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    return n;
}

static void
test_listen_fds(void **state)
{
    (void)state;
    char pid[32];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    assert_int_equal(listen_fds(pid, "2"), 2);
    assert_int_equal(listen_fds(pid, "0"), 0);
    assert_int_equal(listen_fds(pid, ""), 0);
    assert_int_equal(listen_fds(pid, "many"), 0);
    assert_int_equal(listen_fds(pid, "-1"), 0);
    assert_int_equal(listen_fds(pid, "99999999999"), 0);
    assert_int_equal(listen_fds("1", "2"), 0);
    assert_int_equal(systemd_listen_fds(), 0);
}

static void
check_notify(const struct sockaddr_un *un, socklen_t length, const char *name)
{
    char text[64] = "";
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)un, length), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    assert_int_equal(systemd_notify("READY=1\n"), 0);
    assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), 8);
    assert_string_equal(text, "READY=1\n");
    close(fd);
}

static void
test_notify_path(void **state)
{
    (void)state;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof(un.sun_path), "/tmp/saola-notify-%d", (int)getpid());
    unlink(un.sun_path); /* of a run that was killed */
    check_notify(&un, sizeof(un), un.sun_path);
    unlink(un.sun_path);
    assert_int_equal(systemd_notify("READY=1\n"), -ENOENT);
}

static void
test_notify_abstract(void **state)
{
    (void)state;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char name[64];
    int n = snprintf(name, sizeof(name), "@saola-notify-%d", (int)getpid());
    memcpy(un.sun_path + 1, name + 1, (size_t)n - 1);
    check_notify(&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n), name);
}

static void
test_notify_nobody(void **state)
{
    (void)state;
    char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(systemd_notify("READY=1\n"), 0);
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    setenv("NOTIFY_SOCKET", name, 1);
    assert_int_equal(systemd_notify("READY=1\n"), -ENAMETOOLONG);
    unsetenv("NOTIFY_SOCKET");
}

static int64_t
watchdog(const char *pid, const char *us)
{
    setenv("WATCHDOG_USEC", us, 1);
    if (pid) {
        setenv("WATCHDOG_PID", pid, 1);
    }
    int64_t result = systemd_watchdog_us();
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return result;
}

static void
test_watchdog(void **state)
{
    (void)state;
    char pid[32];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    assert_int_equal(watchdog(pid, "30000000"), 30000000);
    assert_int_equal(watchdog(NULL, "30000000"), 30000000);
    assert_int_equal(watchdog("1", "30000000"), 0);
    assert_int_equal(watchdog("", "30000000"), 0);
    assert_int_equal(watchdog(pid, "0"), 0);
    assert_int_equal(watchdog(pid, "soon"), 0);
    assert_int_equal(watchdog(pid, "18446744073709551615"), 0);
    assert_int_equal(systemd_watchdog_us(), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listen_fds),      cmocka_unit_test(test_notify_path),
        cmocka_unit_test(test_notify_abstract), cmocka_unit_test(test_notify_nobody),
        cmocka_unit_test(test_watchdog),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
