/* SPDX-License-Identifier: MIT */
/*
 * The life of a value: setting->validate() turns what the user gave into a struct setting_value;
 * that moves into the field at setting->offset, and what was there is released.
 */
#include "config/config.h"

#include "base/mem.h"
#include "base/panic.h"
#include "config/setting.h"
#include "config/text.h"
#include "config/validate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void *
field_of(struct config *cfg, const struct setting *setting)
{
    return (char *)cfg + setting->offset;
}

/* Copies between a field and a value: shallow, so ownership moves along. */
static size_t
field_bytes(enum setting_type type)
{
    switch (type) {
    case SETTING_TYPE_INT:
        return sizeof(int64_t);
    case SETTING_TYPE_BOOL:
        return sizeof(bool);
    case SETTING_TYPE_STRING:
        return sizeof(char *);
    case SETTING_TYPE_LIST:
        return sizeof(struct config_list);
    case SETTING_TYPE_DICT:
        return sizeof(struct config_dict);
    case SETTING_TYPE_CLASS:
        return sizeof(struct config_class);
    case SETTING_TYPE_HOOK:
    case SETTING_TYPE_ANY:
        return sizeof(void *);
    }
    return 0;
}

static struct setting_value
field_get(const struct config *cfg, const struct setting *setting)
{
    struct setting_value value = {0};

    memcpy(&value, (const char *)cfg + setting->offset, field_bytes(setting->type));
    return value;
}

static void
field_replace(struct config *cfg, const struct setting *setting, const struct setting_value *value)
{
    struct setting_value old = field_get(cfg, setting);

    setting_value_fini(setting->type, &old);
    memcpy(field_of(cfg, setting), value, field_bytes(setting->type));
}

static void
set_origin(struct config *cfg, enum setting_id id, struct config_origin origin, char *text,
           bool none)
{
    free(cfg->origin[id].where);
    free(cfg->origin[id].text);
    cfg->origin[id].source = origin.source;
    cfg->origin[id].where = origin.where != NULL ? mem_strdup(origin.where) : NULL;
    cfg->origin[id].text = text;
    cfg->origin[id].none = none;
}

static void
set_default(struct config *cfg, enum setting_id id)
{
    const struct setting *setting = setting_get(id);
    struct setting_value value = {0};
    char *error = NULL;

    int rc = setting->validate(&setting->initial, &value, &error);
    ASSERT(rc == 0);
    field_replace(cfg, setting, &value);
    set_origin(cfg, id, (struct config_origin){.source = CONFIG_DEFAULT}, NULL, value.none);
}

struct config *
config_new(void)
{
    struct config *cfg = mem_zalloc(sizeof(*cfg));

    for (enum setting_id id = 0; id < SETTINGS_COUNT; id++) {
        set_default(cfg, id);
    }
    return cfg;
}

void
config_free(struct config *cfg)
{
    if (cfg == NULL) {
        return;
    }
    for (enum setting_id id = 0; id < SETTINGS_COUNT; id++) {
        struct setting_value value = field_get(cfg, setting_get(id));
        setting_value_fini(setting_get(id)->type, &value);
        free(cfg->origin[id].where);
        free(cfg->origin[id].text);
    }
    free(cfg);
}

int
config_lookup(const char *name)
{
    for (enum setting_id id = 0; id < SETTINGS_COUNT; id++) {
        if (strcmp(setting_get(id)->name, name) == 0) {
            return (int)id;
        }
    }
    return -ENOENT;
}

/* --- assignment --- */

static bool
needs_text(const struct setting *setting, const struct setting_value *value)
{
    switch (setting->type) {
    case SETTING_TYPE_HOOK:
    case SETTING_TYPE_ANY:
        return value->object != NULL;
    case SETTING_TYPE_CLASS:
        return value->class.object != NULL;
    default:
        return false;
    }
}

int
config_set(struct config *cfg, enum setting_id id, const struct config_value *value,
           struct config_origin origin, char **ret_error)
{
    const struct setting *setting = setting_get(id);
    struct setting_value checked = {0};

    int rc = setting->validate(value, &checked, ret_error);
    if (rc < 0) {
        return rc;
    }
    char *text = needs_text(setting, &checked) ? check_text(value) : NULL;
    field_replace(cfg, setting, &checked);
    set_origin(cfg, id, origin, text, checked.none);
    return 0;
}

int
config_set_environment(struct config *cfg, char **ret_error)
{
    static const struct {
        const char *variable;
        enum setting_id id;
        const char *format;
    } variables[] = {
        {"WEB_CONCURRENCY", SETTING_workers, ""},
        {"PORT", SETTING_bind, "0.0.0.0:"},
        {"FORWARDED_ALLOW_IPS", SETTING_forwarded_allow_ips, ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        const char *given = getenv(variables[i].variable);
        if (given == NULL) {
            continue;
        }
        char *string = mem_printf("%s%s", variables[i].format, given);
        char *error = NULL;
        struct config_origin origin = {CONFIG_ENVIRONMENT, variables[i].variable};
        struct config_value value = {.kind = CONFIG_VALUE_STR, .string = string};
        int rc = config_set(cfg, variables[i].id, &value, origin, &error);
        free(string);
        if (rc < 0) {
            check_failed(ret_error, rc, "%s: %s", variables[i].variable, error);
            free(error);
            return rc;
        }
    }
    if (getenv("SENDFILE") != NULL) {
        cfg->origin[SETTING_sendfile].source = CONFIG_ENVIRONMENT;
        cfg->origin[SETTING_sendfile].where = mem_strdup("SENDFILE");
    }
    return 0;
}

/* --- reading --- */

static void
add_list(struct buf *text, const struct config_list *list)
{
    text_add(text, "[");
    for (size_t i = 0; i < list->count; i++) {
        text_add(text, i > 0 ? ", " : "");
        text_add_repr(text, list->items[i]);
    }
    text_add(text, "]");
}

static void
add_dict(struct buf *text, const struct config_dict *dict)
{
    text_add(text, "{");
    for (size_t i = 0; i < dict->count; i++) {
        text_add(text, i > 0 ? ", " : "");
        text_add_repr(text, dict->items[i].name);
        text_add(text, ": ");
        text_add_repr(text, dict->items[i].value);
    }
    text_add(text, "}");
}

static void
add_value(struct buf *text, const struct setting *setting, const struct setting_value *value)
{
    switch (setting->type) {
    case SETTING_TYPE_INT:
        text_add_int(text, value->integer);
        break;
    case SETTING_TYPE_BOOL:
        text_add(text, value->boolean ? "True" : "False");
        break;
    case SETTING_TYPE_STRING:
        text_add(text, value->string);
        break;
    case SETTING_TYPE_LIST:
        add_list(text, &value->list);
        break;
    case SETTING_TYPE_DICT:
        add_dict(text, &value->dict);
        break;
    case SETTING_TYPE_HOOK:
        text_add(text, "<");
        text_add(text, setting->hook_class);
        text_add(text, ".");
        text_add(text, setting->name);
        text_add(text, "()>");
        break;
    case SETTING_TYPE_CLASS:
        text_add(text, value->class.uri);
        break;
    case SETTING_TYPE_ANY:
        text_add(text, "{}");
        break;
    }
}

char *
config_render(const struct config *cfg, enum setting_id id)
{
    const struct setting *setting = setting_get(id);
    struct setting_value value = field_get(cfg, setting);
    struct buf text;

    text_init(&text);
    if (cfg->origin[id].none) {
        text_add(&text, "None");
    } else if (cfg->origin[id].text != NULL) {
        text_add(&text, cfg->origin[id].text);
    } else {
        add_value(&text, setting, &value);
    }
    return text_take(&text);
}

/* --- origins --- */

static const char *
long_flag(const struct setting *setting, size_t *ret_length)
{
    const char *flag = setting->flags != NULL ? strstr(setting->flags, "--") : NULL;

    *ret_length = flag != NULL ? strcspn(flag, " ") : 0;
    return flag;
}

char *
config_describe_origin(const struct config *cfg, enum setting_id id)
{
    static const char *const places[] = {
        [CONFIG_DEFAULT] = "the defaults",           [CONFIG_ENVIRONMENT] = "the environment",
        [CONFIG_FRAMEWORK] = "the application",      [CONFIG_FILE] = "the configuration file",
        [CONFIG_CMD_ARGS_ENV] = "GUNICORN_CMD_ARGS", [CONFIG_COMMAND_LINE] = "the command line",
    };
    const char *where = cfg->origin[id].where;
    enum config_source source = cfg->origin[id].source;
    size_t length;
    const char *flag = long_flag(setting_get(id), &length);
    struct buf text;

    text_init(&text);
    text_add(&text, where != NULL ? where : places[source]);
    if (source >= CONFIG_CMD_ARGS_ENV && flag != NULL) {
        text_add(&text, ", ");
        text_add_bytes(&text, flag, length);
    }
    return text_take(&text);
}

/* The default is something that one can write down. */
static bool
has_substance(const struct config_value *initial)
{
    switch (initial->kind) {
    case CONFIG_VALUE_BOOL:
    case CONFIG_VALUE_INT:
        return true;
    case CONFIG_VALUE_STR:
        return initial->string[0] != '\0';
    default:
        return false;
    }
}

static bool
is_default(const struct config *cfg, const struct setting *setting)
{
    struct setting_value value = field_get(cfg, setting);
    struct setting_value initial = {0};
    char *error = NULL;

    int rc = setting->validate(&setting->initial, &initial, &error);
    ASSERT(rc == 0);
    bool equal = setting_value_equal(setting->type, &value, &initial);
    setting_value_fini(setting->type, &initial);
    return equal;
}

char *
config_unsupported(const struct config *cfg, enum setting_id id)
{
    const struct setting *setting = setting_get(id);

    if (setting->status != SETTING_STATUS_LATER || is_default(cfg, setting) ||
        (id == SETTING_control_socket && cfg->control_socket_disable)) {
        return NULL;
    }
    char *given = config_render(cfg, id);
    char *origin = config_describe_origin(cfg, id);
    char *standard = has_substance(&setting->initial) ? check_text(&setting->initial) : NULL;
    char *text = mem_printf("%s = %s is not supported yet (from %s). Remove it%s%s.", setting->name,
                            given, origin, standard != NULL ? ", or set it to " : "",
                            standard != NULL ? standard : "");
    free(given);
    free(origin);
    free(standard);
    return text;
}

const char *
config_proc_name(const struct config *cfg)
{
    return cfg->proc_name != NULL ? cfg->proc_name : cfg->default_proc_name;
}
