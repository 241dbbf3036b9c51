/* SPDX-License-Identifier: MIT */
/* Mailboxes: messages are whole, nothing waits, and no descriptor is lost or left over. */
#include "net/mailbox.h"

#include "base/macros.h"

#include "fds.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct desk {
    struct mailbox in;
    struct mailbox other;
    int fds_before;
    char bytes[MAILBOX_BYTES_MAX + 1];
};

static int
set_up(void **state)
{
    struct desk *desk = test_malloc(sizeof(*desk));
    desk->fds_before = open_fds();
    assert_int_equal(mailbox_open(&desk->in), 0);
    assert_int_equal(mailbox_open(&desk->other), 0);
    *state = desk;
    return 0;
}

static int
tear_down(void **state)
{
    struct desk *desk = *state;
    mailbox_close(&desk->in);
    mailbox_close(&desk->other);
    assert_int_equal(open_fds(), desk->fds_before);
    test_free(desk);
    return 0;
}

static int
put(const struct mailbox *mailbox, const void *bytes, size_t n)
{
    struct iovec iov = {(void *)bytes, n};
    int fd = STDERR_FILENO;
    return mailbox_send(mailbox->write_fd, &iov, 1, &fd, 1);
}

/* Raw, as nobody in the server does. */
static void
forge(const struct mailbox *mailbox, const void *bytes, size_t n, unsigned n_fds)
{
    struct iovec iov = {(void *)bytes, n};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(16 * sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(n_fds * sizeof(int)),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    int fd = STDERR_FILENO;
    for (unsigned i = 0; i < n_fds; i++) {
        memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &fd, sizeof(int));
    }
    struct msghdr message = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = n_fds > 0 ? &control : NULL,
        .msg_controllen = n_fds > 0 ? CMSG_SPACE(n_fds * sizeof(int)) : 0,
    };
    assert_int_equal(sendmsg(mailbox->write_fd, &message, 0), n);
}

static void
test_a_message_is_whole(void **state)
{
    struct desk *desk = *state;
    int pipes[2];
    struct mail_fds fds;
    assert_false(mailbox_has_mail(desk->in.read_fd));
    assert_int_equal(mailbox_receive(desk->in.read_fd, desk->bytes, 9, &fds), -EAGAIN);
    assert_int_equal(pipe(pipes), 0);
    struct iovec iov[] = {{(char *)"abc", 3}, {NULL, 0}, {(char *)"de", 2}};
    assert_int_equal(mailbox_send(desk->in.write_fd, iov, ARRAY_LEN(iov), pipes, 2), 0);
    close(pipes[0]);
    close(pipes[1]);
    assert_true(mailbox_has_mail(desk->in.read_fd));
    assert_int_equal(mailbox_receive(desk->in.read_fd, desk->bytes, 9, &fds), 5);
    assert_memory_equal(desk->bytes, "abcde", 5);
    assert_int_equal(fds.count, 2);
    assert_int_equal(fcntl(fds.items[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(fds.items[1], "x", 1), 1);
    assert_int_equal(read(fds.items[0], desk->bytes, 9), 1);
    mail_fds_close(&fds);
    assert_int_equal(fds.count, 0);
}

static void
test_a_full_mailbox_says_so(void **state)
{
    struct desk *desk = *state;
    struct mail_fds fds;
    int sent = 0;
    int rc;
    while ((rc = put(&desk->in, desk->bytes, 10000)) == 0) {
        sent++;
    }
    assert_int_equal(rc, -EAGAIN);
    assert_true(sent > 3);
    for (int i = 0; i < sent; i++) {
        assert_int_equal(mailbox_receive(desk->in.read_fd, desk->bytes, sizeof(desk->bytes), &fds),
                         10000);
        mail_fds_close(&fds);
    }
    assert_int_equal(put(&desk->in, desk->bytes, MAILBOX_BYTES_MAX), 0);
}

/* A user without privileges may not have more descriptors in sockets than open: that too is over
 * as soon as somebody reads. */
static void
test_many_descriptors_on_their_way(void **state)
{
    struct desk *desk = *state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit few = {16, 16};
        int rc = 0;
        if ((geteuid() == 0 && setuid(65534) < 0) || setrlimit(RLIMIT_NOFILE, &few) < 0) {
            _exit(0); /* not possible here */
        }
        while (rc == 0) {
            rc = put(&desk->in, "abc", 3);
        }
        _exit(rc == -EAGAIN ? 0 : -rc);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void
test_what_was_not_read_goes_with_the_mailbox(void **state)
{
    struct desk *desk = *state;
    assert_int_equal(put(&desk->in, "abc", 3), 0);
}

static void
test_a_message_that_does_not_fit_is_thrown_away(void **state)
{
    struct desk *desk = *state;
    struct mail_fds fds;
    assert_int_equal(put(&desk->in, "abcdef", 6), 0);
    assert_int_equal(put(&desk->in, "gh", 2), 0);
    assert_int_equal(mailbox_receive(desk->in.read_fd, desk->bytes, 5, &fds), -EBADMSG);
    assert_int_equal(fds.count, 0);
    assert_int_equal(mailbox_receive(desk->in.read_fd, desk->bytes, 5, &fds), 2);
    mail_fds_close(&fds);
}

static void
test_forged_messages(void **state)
{
    struct desk *desk = *state;
    struct mail_fds fds;
    static const unsigned TOO_MANY[] = {MAILBOX_FDS_MAX + 1, 8, 9, 16};
    for (size_t i = 0; i < ARRAY_LEN(TOO_MANY); i++) {
        forge(&desk->in, "abc", 3, TOO_MANY[i]);
        assert_int_equal(mailbox_receive(desk->in.read_fd, desk->bytes, 9, &fds), -EBADMSG);
        assert_int_equal(fds.count, 0);
    }
    forge(&desk->in, "abc", 3, 0);
    assert_int_equal(mailbox_receive(desk->in.read_fd, desk->bytes, 9, &fds), 3);
    assert_int_equal(fds.count, 0);
}

static void
test_without_descriptors_nothing_half_arrives(void **state)
{
    struct desk *desk = *state;
    struct mail_fds fds;
    struct rlimit limit;
    assert_int_equal(put(&desk->in, "abc", 3), 0);
    assert_int_equal(put(&desk->in, "def", 3), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){3, limit.rlim_max}), 0);
    assert_int_equal(mailbox_forward(desk->in.read_fd, desk->other.write_fd), -EMFILE);
    assert_int_equal(mailbox_receive(desk->in.read_fd, desk->bytes, 9, &fds), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(mailbox_receive(desk->in.read_fd, desk->bytes, 9, &fds), 3);
    assert_memory_equal(desk->bytes, "def", 3);
    mail_fds_close(&fds);
}

static void
test_the_senders_are_gone(void **state)
{
    struct desk *desk = *state;
    struct mail_fds fds;
    assert_int_equal(put(&desk->in, "abc", 3), 0);
    close(desk->in.write_fd);
    desk->in.write_fd = -1;
    assert_int_equal(mailbox_receive(desk->in.read_fd, desk->bytes, 9, &fds), 3);
    mail_fds_close(&fds);
    assert_int_equal(mailbox_receive(desk->in.read_fd, desk->bytes, 9, &fds), 0);
}

static void
test_mail_is_forwarded_unread(void **state)
{
    struct desk *desk = *state;
    struct mail_fds fds;
    int in = desk->in.read_fd;
    assert_int_equal(mailbox_forward(in, desk->other.write_fd), -EAGAIN);
    memset(desk->bytes, 'm', sizeof(desk->bytes));
    assert_int_equal(put(&desk->in, desk->bytes, MAILBOX_BYTES_MAX), 0);
    while (put(&desk->other, "full", 4) == 0) {
    }
    assert_int_equal(mailbox_forward(in, desk->other.write_fd), -EAGAIN);
    assert_true(mailbox_has_mail(in));
    while (mailbox_receive(desk->other.read_fd, desk->bytes, 9, &fds) == 4) {
        mail_fds_close(&fds);
    }
    assert_int_equal(mailbox_forward(in, desk->other.write_fd), 0);
    assert_false(mailbox_has_mail(in));
    ssize_t got = mailbox_receive(desk->other.read_fd, desk->bytes, sizeof(desk->bytes), &fds);
    assert_int_equal(got, MAILBOX_BYTES_MAX);
    assert_int_equal(desk->bytes[MAILBOX_BYTES_MAX - 1], 'm');
    assert_int_equal(fds.count, 1);
    mail_fds_close(&fds);
}

static void
test_what_cannot_be_forwarded_is_thrown_away(void **state)
{
    struct desk *desk = *state;
    forge(&desk->in, "abc", 3, 0);
    forge(&desk->in, "abc", 3, 3);
    forge(&desk->in, desk->bytes, sizeof(desk->bytes), 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mailbox_forward(desk->in.read_fd, desk->other.write_fd), -EBADMSG);
    }
    assert_false(mailbox_has_mail(desk->in.read_fd));
    assert_false(mailbox_has_mail(desk->other.read_fd));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_message_is_whole),
        TEST(test_a_full_mailbox_says_so),
        TEST(test_many_descriptors_on_their_way),
        TEST(test_what_was_not_read_goes_with_the_mailbox),
        TEST(test_a_message_that_does_not_fit_is_thrown_away),
        TEST(test_forged_messages),
        TEST(test_without_descriptors_nothing_half_arrives),
        TEST(test_the_senders_are_gone),
        TEST(test_mail_is_forwarded_unread),
        TEST(test_what_cannot_be_forwarded_is_thrown_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
