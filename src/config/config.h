/* SPDX-License-Identifier: MIT */
/*
 * struct config: the value of every setting, one typed field each, made from settings.def; plus,
 * for each, where the value came from. Whoever creates it owns it and everything its fields point
 * at; handles of hooks, classes and other objects belong to the Python side and are only carried
 * here.
 *
 * Values enter through config_set(), which checks them and takes a copy in the setting's final
 * form. The rest of the server reads fields: `cfg->workers`, `cfg->bind.items[i]`. Once a server
 * has started with a config it no longer changes (a reload makes a new one), so that any thread and
 * any worker may read it.
 *
 * Errors: -EINVAL (the value is wrong), -EPROTOTYPE (its type is), -ENOENT (it names what does not
 * exist), each with a text for the user. A value that switches on what is not there yet is no
 * error here: config_unsupported() tells.
 */
#ifndef SAOLA_CONFIG_CONFIG_H
#define SAOLA_CONFIG_CONFIG_H

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_list {
    char **items; /* owned, as each of them */
    size_t count;
};

struct config_pair {
    const char *name;
    const char *value;
};

struct config_dict {
    struct config_pair *items; /* owned, as each name and value; in the order given */
    size_t count;
};

struct config_class {
    char *uri;    /* owned; as written, NULL if a class was given instead of a name */
    void *object; /* handle; NULL if a name was given */
};

/* In order of precedence: the later ones are set after the earlier ones. */
enum config_source {
    CONFIG_DEFAULT,
    CONFIG_ENVIRONMENT, /* WEB_CONCURRENCY, PORT and the like */
    CONFIG_FRAMEWORK,   /* the application object: a subclass, Paste */
    CONFIG_FILE,
    CONFIG_CMD_ARGS_ENV, /* GUNICORN_CMD_ARGS, SAOLA_CMD_ARGS */
    CONFIG_COMMAND_LINE,
};

struct config_origin {
    enum config_source source;
    const char *where; /* the file or variable; NULL if there is nothing to say */
};

/* enum setting_id: SETTING_workers and so on, in the table's order. */
enum setting_id {
#define SETTING(name, ...) SETTING_##name,
#include "config/settings.def"
#undef SETTING
    SETTINGS_COUNT,
};

struct config {
#define CONFIG_FIELD_INT(name) int64_t name;
#define CONFIG_FIELD_BOOL(name) bool name;
#define CONFIG_FIELD_STRING(name) char *name; /* owned; NULL: unset (None) */
#define CONFIG_FIELD_LIST(name) struct config_list name;
#define CONFIG_FIELD_DICT(name) struct config_dict name;
#define CONFIG_FIELD_HOOK(name) \
    void *name; /* handle; NULL: unset; NOLINT(bugprone-macro-parentheses) */
#define CONFIG_FIELD_CLASS(name) struct config_class name;
#define CONFIG_FIELD_ANY(name) CONFIG_FIELD_HOOK(name)
#define SETTING(name, TYPE, ...) CONFIG_FIELD_##TYPE(name)
#include "config/settings.def"
#undef SETTING

    struct {
        enum config_source source;
        char *where; /* owned, or NULL */
        char *text;  /* owned; what stands for an object; NULL for every other kind of value */
        bool none;   /* the value was None: a BOOL, LIST or the like cannot tell by itself */
    } origin[SETTINGS_COUNT];
};

enum config_kind {
    CONFIG_VALUE_NONE,
    CONFIG_VALUE_BOOL,
    CONFIG_VALUE_INT,
    CONFIG_VALUE_STR,
    CONFIG_VALUE_LIST,
    CONFIG_VALUE_DICT,
    CONFIG_VALUE_OBJECT, /* anything else: a handle */
};

/* A value on its way in. Borrows everything. */
struct config_value {
    enum config_kind kind;
    bool boolean;
    int64_t integer;
    const char *string;       /* of STR */
    const char *const *items; /* of LIST, `count` of them */
    const struct config_pair
        *pairs; /* of DICT, `count` of them; NULL if they are not all strings */
    size_t count;
    void *object;     /* of OBJECT and DICT: the handle, if the setting can hold one */
    const char *text; /* as Python's str() shows it; may be NULL but for OBJECT */
};

/* All settings at their defaults. */
struct config *config_new(void) NODISCARD;
void config_free(struct config *cfg); /* NULL is ignored */

/* What the environment sets (WEB_CONCURRENCY, PORT, FORWARDED_ALLOW_IPS, SENDFILE). Errors as
 * config_set(). */
int config_set_environment(struct config *cfg, char **ret_error) NODISCARD;

/* Checks the value and stores a copy. On failure cfg is as it was and *ret_error is the text for
 * the user, to be released with free(). */
int config_set(struct config *cfg, enum setting_id id, const struct config_value *value,
               struct config_origin origin, char **ret_error) NODISCARD;

/* The setting of that name, or -ENOENT. */
int config_lookup(const char *name) NODISCARD;

/* The value as Python's str() shows it, and as --print-config does; to be released with free(). */
char *config_render(const struct config *cfg, enum setting_id id) NODISCARD;

/* Where the value came from, in words: "the command line, --workers"; to be released with free().
 */
char *config_describe_origin(const struct config *cfg, enum setting_id id) NODISCARD;

/* NULL, or what to tell the user about a value that switches on what is not there yet; to be
 * released with free(). */
char *config_unsupported(const struct config *cfg, enum setting_id id) NODISCARD;

/* The name for process titles: proc_name, else default_proc_name. */
const char *config_proc_name(const struct config *cfg);

#endif
