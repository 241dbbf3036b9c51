/* SPDX-License-Identifier: MIT */
#include "config/setting.h"

#include "base/panic.h"
#include "config/validate.h"

#include <stdlib.h>
#include <string.h>

#define STRINGS(...)      \
    (const char *const[]) \
    {                     \
        __VA_ARGS__       \
    }
#define PAIRS(...)               \
    (const struct config_pair[]) \
    {                            \
        __VA_ARGS__              \
    }

#define D_NONE .initial = {.kind = CONFIG_VALUE_NONE}
#define D_BOOL(value) .initial = {.kind = CONFIG_VALUE_BOOL, .boolean = (value)}
#define D_INT(value) .initial = {.kind = CONFIG_VALUE_INT, .integer = (value)}
#define D_STR(value) .initial = {.kind = CONFIG_VALUE_STR, .string = (value)}
#define D_LIST(...)                            \
    .initial = {.kind = CONFIG_VALUE_LIST,     \
                .items = STRINGS(__VA_ARGS__), \
                .count = ARRAY_LEN(STRINGS(__VA_ARGS__))}
#define D_DICT(...)                          \
    .initial = {.kind = CONFIG_VALUE_DICT,   \
                .pairs = PAIRS(__VA_ARGS__), \
                .count = ARRAY_LEN(PAIRS(__VA_ARGS__))}
#define D_EMPTY_LIST .initial = {.kind = CONFIG_VALUE_LIST}
#define D_EMPTY_DICT .initial = {.kind = CONFIG_VALUE_DICT}
#define D_AT_START(what) .initial = {.kind = CONFIG_VALUE_NONE}, .initial_from = (what)
#define D_HOOK(parameters, class_name) \
    .initial = {.kind = CONFIG_VALUE_NONE}, .hook_arity = (parameters), .hook_class = (class_name)

#define IS_RELOAD true
#define IS_RESTART false

/* Gunicorn's settings come first in the table; this is the last of them. */
enum { SETTING_LAST_OF_GUNICORN = SETTING_control_socket_disable };

static const struct setting settings[SETTINGS_COUNT] = {
#define SETTING(name_, type_, section_, cli_, flags_, metavar_, initial_, validate_, reload_, \
                status_, help_)                                                               \
    [SETTING_##name_] = {                                                                     \
        .name = #name_,                                                                       \
        .type = SETTING_TYPE_##type_,                                                         \
        .section = (section_),                                                                \
        .cli = SETTING_CLI_##cli_,                                                            \
        .flags = (flags_),                                                                    \
        .metavar = (metavar_),                                                                \
        initial_,                                                                             \
        .validate = (validate_),                                                              \
        .reloadable = IS_##reload_,                                                           \
        .status = SETTING_STATUS_##status_,                                                   \
        .own = (int)SETTING_##name_ > (int)SETTING_LAST_OF_GUNICORN,                          \
        .help = (help_),                                                                      \
        .offset = offsetof(struct config, name_),                                             \
    },
#include "config/settings.def"
#undef SETTING
};

const struct setting *
setting_get(enum setting_id id)
{
    ASSERT(id < SETTINGS_COUNT);
    return &settings[id];
}

void
setting_value_fini(enum setting_type type, struct setting_value *value)
{
    switch (type) {
    case SETTING_TYPE_INT:
    case SETTING_TYPE_BOOL:
    case SETTING_TYPE_HOOK:
    case SETTING_TYPE_ANY:
        break;
    case SETTING_TYPE_STRING:
        free(value->string);
        break;
    case SETTING_TYPE_LIST:
        for (size_t i = 0; i < value->list.count; i++) {
            free(value->list.items[i]);
        }
        free(value->list.items);
        break;
    case SETTING_TYPE_DICT:
        for (size_t i = 0; i < value->dict.count; i++) {
            free((char *)value->dict.items[i].name);
            free((char *)value->dict.items[i].value);
        }
        free(value->dict.items);
        break;
    case SETTING_TYPE_CLASS:
        free(value->class.uri);
        break;
    }
    *value = (struct setting_value){0};
}

static bool
string_equal(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
list_equal(const struct config_list *a, const struct config_list *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!string_equal(a->items[i], b->items[i])) {
            return false;
        }
    }
    return true;
}

static bool
dict_equal(const struct config_dict *a, const struct config_dict *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!string_equal(a->items[i].name, b->items[i].name) ||
            !string_equal(a->items[i].value, b->items[i].value)) {
            return false;
        }
    }
    return true;
}

bool
setting_value_equal(enum setting_type type, const struct setting_value *a,
                    const struct setting_value *b)
{
    switch (type) {
    case SETTING_TYPE_INT:
        return a->integer == b->integer;
    case SETTING_TYPE_BOOL:
        return a->boolean == b->boolean;
    case SETTING_TYPE_STRING:
        return string_equal(a->string, b->string);
    case SETTING_TYPE_LIST:
        return list_equal(&a->list, &b->list);
    case SETTING_TYPE_DICT:
        return dict_equal(&a->dict, &b->dict);
    case SETTING_TYPE_CLASS:
        return string_equal(a->class.uri, b->class.uri) && a->class.object == b->class.object;
    case SETTING_TYPE_HOOK:
    case SETTING_TYPE_ANY:
        return a->object == b->object;
    }
    return false;
}
