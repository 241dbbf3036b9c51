/* SPDX-License-Identifier: MIT */
/*
 * The settings table as data: one constant description per setting, in the order of settings.def.
 * What walks over settings (assignment, rendering, the command line, the documents) reads it; what
 * wants a value reads the field of struct config.
 */
#ifndef SAOLA_CONFIG_SETTING_H
#define SAOLA_CONFIG_SETTING_H

#include "config/config.h"

#include <stdbool.h>
#include <stddef.h>

enum setting_type {
    SETTING_TYPE_INT,
    SETTING_TYPE_BOOL,
    SETTING_TYPE_STRING,
    SETTING_TYPE_LIST,
    SETTING_TYPE_DICT,
    SETTING_TYPE_HOOK,
    SETTING_TYPE_CLASS,
    SETTING_TYPE_ANY,
};

enum setting_cli {
    SETTING_CLI_NONE,
    SETTING_CLI_VALUE,
    SETTING_CLI_INTEGER,
    SETTING_CLI_AUTO_INTEGER,
    SETTING_CLI_APPEND,
    SETTING_CLI_SWITCH_ON,
    SETTING_CLI_SWITCH_OFF,
    SETTING_CLI_OPTIONAL,
};

/* How much of what the setting is for is there. */
enum setting_status {
    SETTING_STATUS_SUPPORTED,
    SETTING_STATUS_DORMANT, /* says how a feature behaves that is LATER: no effect until then */
    SETTING_STATUS_LATER,   /* switches on what is not there yet: nothing but its default will do */
};

/* A checked value, on its way into struct config. Owns what it points at, but for handles. */
struct setting_value {
    union {
        int64_t integer;
        bool boolean;
        char *string;
        struct config_list list;
        struct config_dict dict;
        struct config_class class;
        void *object;
    };
    bool none;
};

struct setting {
    const char *name;
    enum setting_type type;
    const char *section;
    enum setting_cli cli;
    const char *flags;   /* separated by spaces; NULL: none */
    const char *metavar; /* NULL: none */
    struct config_value initial;
    const char *initial_from; /* what decides about the default at start; NULL: nothing does */
    const char *hook_class;   /* of HOOK: the default is shown as <hook_class.name()> */
    int hook_arity;
    /* Checks and converts; on failure *ret is untouched and *ret_error is for free(). */
    int (*validate)(const struct config_value *value, struct setting_value *ret, char **ret_error);
    bool reloadable; /* SIGHUP brings a new value into effect */
    enum setting_status status;
    bool own; /* Saola's: Gunicorn has no such setting */
    const char *help;
    size_t offset; /* of the field in struct config */
};

const struct setting *setting_get(enum setting_id id);

void setting_value_fini(enum setting_type type, struct setting_value *value);
bool setting_value_equal(enum setting_type type, const struct setting_value *a,
                         const struct setting_value *b);

#endif
