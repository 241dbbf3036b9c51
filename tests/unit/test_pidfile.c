/* SPDX-License-Identifier: MIT */
#include "proc/pidfile.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];
static char path[128];

static int
set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/saola-test-XXXXXX");
    if (!mkdtemp(directory)) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/pid", directory);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory); /* fails if a test left a file */
}

static void
write_text(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static pid_t
dead_pid(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    return pid;
}

static void
test_create_and_remove(void **state)
{
    (void)state;
    struct pidfile pidfile = {NULL};
    char *error = NULL;
    char text[32] = "";
    struct stat st;

    assert_int_equal(pidfile_create(&pidfile, path, &error), 0);
    FILE *file = fopen(path, "r");
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    char wanted[32];
    snprintf(wanted, sizeof(wanted), "%d\n", (int)getpid());
    assert_string_equal(text, wanted);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);

    pidfile_remove(&pidfile);
    assert_int_equal(access(path, F_OK), -1);
    assert_null(pidfile.path);
}

static void
test_live_owner_is_refused(void **state)
{
    (void)state;
    struct pidfile pidfile = {NULL};
    char *error = NULL;
    char text[64];

    snprintf(text, sizeof(text), "%d\n", (int)getppid());
    write_text(text);
    assert_int_equal(pidfile_create(&pidfile, path, &error), -EEXIST);
    snprintf(text, sizeof(text), "Already running on PID %d (or pid file '", (int)getppid());
    assert_int_equal(strncmp(error, text, strlen(text)), 0);
    assert_null(pidfile.path);
    free(error);
}

static void
test_garbage_and_the_dead_are_replaced(void **state)
{
    (void)state;
    char dead[32];
    snprintf(dead, sizeof(dead), "%d\n", (int)dead_pid());
    const char *texts[] = {"", "garbage\n", "-1\n", "99999999999999999999\n", "0", dead};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct pidfile pidfile = {NULL};
        char *error = NULL;
        write_text(texts[i]);
        assert_int_equal(pidfile_create(&pidfile, path, &error), 0);
        pidfile_remove(&pidfile);
    }
}

static void
test_missing_directory(void **state)
{
    (void)state;
    struct pidfile pidfile = {NULL};
    char *error = NULL;

    assert_int_equal(pidfile_create(&pidfile, "/no/such/pid", &error), -ENOENT);
    assert_string_equal(error, "/no/such doesn't exist. Can't create pidfile.");
    free(error);
}

static void
test_another_owners_file_is_left_alone(void **state)
{
    (void)state;
    struct pidfile pidfile = {NULL};
    char *error = NULL;

    assert_int_equal(pidfile_create(&pidfile, path, &error), 0);
    write_text("1\n");
    pidfile_remove(&pidfile);
    assert_int_equal(access(path, F_OK), 0);
}

/* A server that starts, and lives until it is told that all have tried: 0 if it has the file. */
static void
start_one(int go, int tried, int all_have_tried)
{
    struct pidfile pidfile = {NULL};
    char *error = NULL;
    char byte;
    (void)!read(go, &byte, 1);
    int rc = pidfile_create(&pidfile, path, &error);
    free(error);
    (void)!write(tried, "", 1);
    (void)!read(all_have_tried, &byte, 1);
    pidfile_fini(&pidfile);
    _exit(rc == 0 ? 0 : 1);
}

/* Servers that start together and find the same pid file, or none: one of them gets it. */
static void
start_together(void)
{
    enum { SERVERS = 8 };
    int go[2];
    int tried[2];
    int all[2];
    char bytes[SERVERS];
    int winners = 0;
    assert_int_equal(pipe(go) | pipe(tried) | pipe(all), 0);
    for (int i = 0; i < SERVERS; i++) {
        if (fork() == 0) {
            start_one(go[0], tried[1], all[0]);
        }
    }
    assert_int_equal(write(go[1], "........", SERVERS), SERVERS);
    for (ssize_t n = 0; n < SERVERS;) {
        ssize_t got = read(tried[0], bytes, sizeof(bytes));
        assert_true(got > 0);
        n += got;
    }
    assert_int_equal(write(all[1], "........", SERVERS), SERVERS);
    for (int i = 0; i < SERVERS; i++) {
        int status;
        pid_t pid = wait(&status);
        assert_true(pid > 0);
        winners += status == 0;
    }
    for (int i = 0; i < 2; i++) {
        close(go[i]);
        close(tried[i]);
        close(all[i]);
    }
    assert_int_equal(winners, 1);
}

static void
test_servers_that_start_together(void **state)
{
    (void)state;
    char dead[32];
    snprintf(dead, sizeof(dead), "%d\n", (int)dead_pid());
    for (int i = 0; i < 200; i++) {
        unlink(path);
        if (i % 2 == 0) {
            write_text(dead);
        }
        start_together();
    }
    unlink(path);
}

static void
test_move(void **state)
{
    (void)state;
    struct pidfile pidfile = {NULL};
    char *error = NULL;
    char second[160];

    snprintf(second, sizeof(second), "%s.2", path);
    unlink(path);
    assert_int_equal(pidfile_create(&pidfile, second, &error), 0);
    assert_int_equal(pidfile_move(&pidfile, second, &error), 0);
    assert_int_equal(access(second, F_OK), 0);
    assert_int_equal(pidfile_move(&pidfile, path, &error), 0);
    assert_int_equal(access(second, F_OK), -1);
    assert_int_equal(pidfile_owner(path), getpid());
    assert_int_equal(pidfile_move(&pidfile, "/no/such/pid", &error), -ENOENT);
    free(error);
    assert_int_equal(pidfile_owner(path), getpid());
    assert_int_equal(pidfile_move(&pidfile, NULL, &error), 0);
    assert_int_equal(access(path, F_OK), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_and_remove),
        cmocka_unit_test(test_live_owner_is_refused),
        cmocka_unit_test(test_garbage_and_the_dead_are_replaced),
        cmocka_unit_test(test_missing_directory),
        cmocka_unit_test(test_another_owners_file_is_left_alone),
        cmocka_unit_test(test_servers_that_start_together),
        cmocka_unit_test(test_move),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
