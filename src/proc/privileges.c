/* SPDX-License-Identifier: MIT */
#include "proc/privileges.h"

#include "base/mem.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int
fail(const char *what, long id, char **ret_error)
{
    int err = errno;
    *ret_error = mem_printf("Can't change to %s %ld: %s", what, id, strerror(err));
    return -err;
}

int
privileges_drop(uid_t uid, gid_t gid, bool initgroups_too, char **ret_error)
{
    /* The groups first: afterwards there is no right to change them. */
    if (initgroups_too && geteuid() == 0) {
        const struct passwd *user = getpwuid(uid);
        int rc = user ? initgroups(user->pw_name, gid) : setgroups(1, &gid);
        if (rc < 0) {
            return fail("the groups of user", (long)uid, ret_error);
        }
    }
    if (gid != getegid() && setgid(gid) < 0) {
        return fail("group", (long)gid, ret_error);
    }
    if (uid != geteuid() && setuid(uid) < 0) {
        return fail("user", (long)uid, ret_error);
    }
    return 0;
}

int64_t
privileges_raise_open_files(uint64_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return -errno;
    }
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = MIN_OF((rlim_t)wanted, limit.rlim_max);
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
            return -errno;
        }
    }
    return limit.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_cur;
}
