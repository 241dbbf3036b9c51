/* SPDX-License-Identifier: MIT */
/*
 * The arbiter: binds the sockets, forks the workers and keeps as many of them as it should, acts on
 * signals, and outlives everything that a worker may do. It never reads a byte from a client.
 *
 * Single-threaded for its whole life. What needs the interpreter (configuration, hooks, fork, the
 * worker itself) goes through struct arbiter_host. The owner calls
 *
 *     arbiter_init();
 *     if (arbiter_start() == 0) while (arbiter_turn()) arbiter_wait();
 *     arbiter_fini();
 *
 * and ends with exit_code. arbiter_wait() blocks and touches nothing of the host's.
 *
 * Every change of workers (start, reload, a worker that dies or wants to be replaced, TTIN, TTOU)
 * is made by one rule, in manage.c: there shall be `target` ready workers of the current
 * generation, and an old worker is told to go only when a new one has said that it is ready.
 */
#ifndef SAOLA_PROC_ARBITER_H
#define SAOLA_PROC_ARBITER_H

#include "base/list.h"
#include "base/macros.h"
#include "net/listener.h"
#include "proc/lobby.h"
#include "proc/mailboxes.h"
#include "proc/notify.h"
#include "proc/obituary.h"
#include "proc/oom.h"
#include "proc/pidfile.h"
#include "proc/slot.h"
#include "proc/spawn.h"
#include "proc/stacks.h"
#include "proc/stacks_answer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct config;

enum {
    EXIT_CONFIG_ERROR = 1,
    EXIT_WORKER_BOOT_ERROR = 3, /* as a worker's exit code, and then the server's */
    EXIT_APP_LOAD_ERROR = 4,
    EXIT_UNHANDLED = 255,
};

/* The server-side hooks that run in the arbiter. */
enum arbiter_hook {
    HOOK_ON_STARTING,
    HOOK_ON_RELOAD,
    HOOK_WHEN_READY,
    HOOK_PRE_FORK,
    HOOK_CHILD_EXIT,
    HOOK_PRE_EXEC,
    HOOK_NWORKERS_CHANGED,
    HOOK_ON_EXIT,
};

/* When the arbiter was stopped (SIGSTOP, a frozen container), and the worker perhaps with it. */
struct stall {
    int64_t resumed_ns;   /* monotonic: when it was over; 0: none so far */
    int64_t heartbeat_ns; /* the last of the worker's before it */
    int64_t more_ns;      /* lost in others since that heartbeat */
};

/* A worker process as the arbiter sees it; owned by the arbiter. */
struct child {
    struct list node;  /* arbiter->children, oldest first */
    struct slot *slot; /* not owned: back to the slots when the child has been reaped */
    pid_t pid;         /* 0 until it is forked */
    uint32_t age;      /* number of the fork, from 1 */
    uint32_t generation;
    bool ready;         /* has checked in */
    bool wants_to_go;   /* asks for a successor */
    bool leaving;       /* told to go, or going by itself */
    bool aborted;       /* got ABRT for being late; KILL comes next */
    bool buried;        /* has ended; hooks may still see it */
    int64_t forked_ns;  /* monotonic, as the next one */
    int64_t kill_at_ns; /* 0: no deadline for its end */
    int64_t ready_ns;   /* when it was seen to have checked in */
    int64_t old_at_ns;  /* when it is to be replaced for its age; 0: never */
    int fat_samples;    /* of its memory, in a row, above the limit */
    uint64_t sent;      /* signals of the arbiter's, a bit each */
    struct obituary_signal signal;
    struct stacks stacks;
    struct stall stall;
    struct mail_count mail;  /* in its mailbox, as it was seen last */
    int64_t request_told_ns; /* the request that the log has: when it began */
    void *object;            /* the host's; NULL: none */
};

struct arbiter;

/* What the arbiter needs of the interpreter. Functions return 0 or more, or negative errno:
 * -ECANCELED says that Python raised and that the host holds the exception. */
struct arbiter_host {
    int (*call_hook)(void *context, enum arbiter_hook hook, struct child *child);
    /* Of HOOK_NWORKERS_CHANGED: `old` is -1 at first. */
    int (*nworkers_changed)(void *context, int64_t now, int64_t old);
    /* Logs the exception that the host holds, and drops it. Returns the exit code it stands for. */
    int (*report)(void *context);

    /* raw_env, and then the application if preload_app is set. */
    int (*preload)(void *context);
    /* Reads the configuration anew. On failure the old one stays and the host has said why. The new
     * one holds, for the logs too, as soon as reload_done(true) is called; reload_done(false) drops
     * it. */
    int (*reload)(void *context, const struct config **ret_cfg);
    void (*reload_done)(void *context, bool accepted);
    void (*reopen_logs)(void *context);
    /* Removes a variable from the interpreter's environment and from the process's. */
    void (*unset_env)(void *context, const char *name);
    /* The listeners have changed. */
    int (*listeners_changed)(void *context);

    /* The title of the process, by other means than title_set(); NULL: there are none. */
    void (*set_title)(void *context, const char *title);

    /* For programs that put something of their own around what the arbiter does: each of these is
     * to call the function named here, and NULL does. */
    int (*act)(void *context, int signal_number); /* arbiter_act() */
    int (*manage)(void *context);                 /* manage_balance() */
    int (*spawn)(void *context, int64_t now_ns);  /* spawn_worker() */

    /* fork(2), on the main thread, with what the interpreter does around it. */
    pid_t (*fork)(void *context);
    /* The worker object of a child that is to be forked, and its end. */
    int (*child_new)(void *context, struct child *child);
    void (*child_forked)(void *context, struct child *child);
    void (*child_free)(void *context, struct child *child);
    /* In the forked child: all there is to do, until the process ends. The host calls
     * worker_signals_repeat() as soon as it has its handlers. */
    NORETURN void (*run_worker)(void *context, struct child *child,
                                const struct worker_start *start);
};

enum arbiter_phase {
    ARBITER_STARTING,
    ARBITER_RUNNING,
    ARBITER_STOPPING, /* the workers are going */
    ARBITER_ENDED,
};

struct arbiter {
    const struct arbiter_host *host;
    void *context; /* the host's */

    const char *program; /* the name in titles and log lines */
    const char *version;
    /* What an upgrade executes. */
    char *const *command; /* program and arguments, NULL-terminated */
    const char *start_directory;

    const struct config *cfg; /* the host's */
    enum arbiter_phase phase;
    int exit_code;
    char *error;  /* owned: why arbiter_start() failed, a text for the user; NULL: said */
    char *reason; /* owned: why it stops with an exit code other than 0 */

    struct slots slots;
    struct lobby lobby;
    struct mailboxes mailboxes; /* of the first slots; of this arbiter's workers only */
    struct list children;       /* struct child, oldest first */
    struct listener *listeners;
    size_t listener_count;
    uint32_t last_listener_id;
    struct pidfile pidfile;
    struct oom_counter oom;
    struct notify notify;
    struct stacks_answer answer;

    int64_t target; /* workers there should be */
    uint32_t last_age;
    uint32_t generation;
    bool ever_ready;   /* a worker of this server has been ready: no failure to boot ends it now */
    int64_t announced; /* workers, in the debug log */
    int64_t backlog_due_ns;      /* monotonic: when the metric gunicorn.backlog is next sent */
    unsigned boot_failures;      /* in a row */
    int64_t failed_ns;           /* when back-off was last decided */
    int64_t spawn_not_before_ns; /* back-off */
    int64_t sample_at_ns;        /* when memory is looked at next */
    bool reload_wanted;          /* HUP came and is to be served */

    int signal_fd;     /* readable while signals wait; the queue's */
    int notify_fds[2]; /* workers write, the arbiter reads */
    int alive_fds[2];  /* the arbiter alone holds the writing end; workers watch the other */
    int64_t awake_ns;  /* when the last wait ended */
    int64_t wait_ns;   /* how long the last wait was meant to take at most */

    int64_t stop_at_ns;       /* TERM came: begins to stop then; 0: it did not, or at once */
    bool stop_after_upgrade;  /* ... unless the successor serves, or has ended, before */
    int64_t stop_deadline_ns; /* when stopping: then KILL */
    bool killed;              /* KILL has been sent to all */

    bool systemd;          /* the sockets came from systemd, and are not ours to change */
    bool daemonized;       /* WINCH is heeded */
    pid_t predecessor_pid; /* the arbiter that executed this one; 0: none, or gone */
    int predecessor_fd;    /* readable when it is gone; -1: none, or the kernel has no pidfd */
    pid_t successor_pid;   /* the arbiter that this one has executed; 0: none */
    char **start_env;      /* owned: the environment as it was at the start */
};

/* `host`, `context` and the four texts are set by the owner, who keeps them; everything else by
 * arbiter_init(). */
void arbiter_init(struct arbiter *arbiter, const struct config *cfg);
void arbiter_fini(struct arbiter *arbiter);

/* Everything up to the point at which the first worker can be forked. Negative errno: the server
 * ends with exit_code; `error` says why unless the log has said it; after -ECANCELED the host holds
 * an exception that should go up. */
int arbiter_start(struct arbiter *arbiter) NODISCARD;

/* Acts on whatever has happened. False: the server has ended, with exit_code. */
bool arbiter_turn(struct arbiter *arbiter);

/* Waits until there is something to act on. */
void arbiter_wait(struct arbiter *arbiter);

/* "Master", or "Master.2" while the predecessor lives. */
const char *arbiter_name(const struct arbiter *arbiter);

/* --- for the parts of the arbiter --- */

/* Python has raised where nobody can handle it: the workers go, and then the arbiter. */
void arbiter_fail(struct arbiter *arbiter);

/* Does what that signal asks for. Negative errno: the host holds an exception. */
int arbiter_act(struct arbiter *arbiter, int signal_number) NODISCARD;

/* Begins to stop: closes the listeners, sends `signal_number` to the workers. */
void arbiter_stop(struct arbiter *arbiter, int signal_number, int exit_code, const char *reason);

/* Changes the number of workers there should be, and tells the hook. */
int arbiter_set_target(struct arbiter *arbiter, int64_t target) NODISCARD;

/* "program: role [name]". */
void arbiter_set_title(const struct arbiter *arbiter, const char *role);

#endif
