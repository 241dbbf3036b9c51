/* SPDX-License-Identifier: MIT */
#include "config/validate.h"

#include "base/mem.h"
#include "base/span.h"
#include "config/setting.h"
#include "config/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A word as the user may write it, and the value that it stands for. */
struct word {
    const char *written;
    const char *meant;
};

static char *
folded(const char *string)
{
    char *copy = check_stripped(string);

    for (char *c = copy; *c != '\0'; c++) {
        *c = (char)ascii_lower((unsigned char)*c);
    }
    return copy;
}

/* The meaning of the value, white space and case aside; NULL if it is none of the words. */
static const char *
find_word(const char *string, const struct word *words, size_t count)
{
    const char *meant = NULL;
    char *stripped = check_stripped(string);

    for (size_t i = 0; i < count && meant == NULL; i++) {
        if (strcasecmp(stripped, words[i].written) == 0) {
            meant = words[i].meant;
        }
    }
    free(stripped);
    return meant;
}

static void
set_string(struct setting_value *ret, const char *string)
{
    *ret = (struct setting_value){.string = mem_strdup(string)};
}

/* A setting whose every word stands for itself: the first is what None means. */
struct choice {
    const struct word *words;
    size_t count;
    const char *wrong_type; /* completed by the value */
    const char *wrong_word; /* completed by the word */
    bool shows_folded;      /* the word in lower case, without white space around it */
};

static int
fail_wrong_word(const char *string, char **ret_error, const struct choice *choice)
{
    char *shown = choice->shows_folded ? folded(string) : mem_strdup(string);

    check_failed(ret_error, -EINVAL, "%s%s", choice->wrong_word, shown);
    free(shown);
    return -EINVAL;
}

static int
check_choice(const struct config_value *value, struct setting_value *ret, char **ret_error,
             const struct choice *choice)
{
    if (value->kind == CONFIG_VALUE_NONE) {
        set_string(ret, choice->words[0].meant);
        return 0;
    }
    if (value->kind != CONFIG_VALUE_STR) {
        char *text = check_text(value);
        check_failed(ret_error, -EPROTOTYPE, "%s%s", choice->wrong_type, text);
        free(text);
        return -EPROTOTYPE;
    }
    const char *meant = find_word(value->string, choice->words, choice->count);
    if (meant == NULL) {
        return fail_wrong_word(value->string, ret_error, choice);
    }
    set_string(ret, meant);
    return 0;
}

int
check_header_map(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    static const struct word words[] = {
        {"refuse", "refuse"}, /* first, because that is how None behaves */
        {"drop", "drop"},
        {"dangerous", "dangerous"},
    };
    static const struct choice choice = {
        words, ARRAY_LEN(words), "Invalid type for casting: ", "Invalid header map behaviour: "};

    return check_choice(value, ret, ret_error, &choice);
}

int
check_asgi_loop(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    static const struct word words[] = {
        {"auto", "auto"}, {"asyncio", "asyncio"}, {"uvloop", "uvloop"}};
    static const struct choice choice = {words, ARRAY_LEN(words),
                                         "Invalid type for casting: ", "Invalid ASGI loop: ", true};

    return check_choice(value, ret, ret_error, &choice);
}

int
check_asgi_lifespan(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    static const struct word words[] = {{"auto", "auto"}, {"on", "on"}, {"off", "off"}};
    static const struct choice choice = {
        words, ARRAY_LEN(words), "Invalid type for casting: ", "Invalid ASGI lifespan: ", true};

    return check_choice(value, ret, ret_error, &choice);
}

/* As check_choice(), for settings whose error texts do not show the value. */
static int
check_listed(const struct config_value *value, struct setting_value *ret, char **ret_error,
             const struct choice *choice)
{
    if (value->kind == CONFIG_VALUE_NONE) {
        set_string(ret, choice->words[0].meant);
        return 0;
    }
    if (value->kind != CONFIG_VALUE_STR) {
        return check_failed(ret_error, -EPROTOTYPE, "%s", choice->wrong_type);
    }
    const char *meant = find_word(value->string, choice->words, choice->count);
    if (meant == NULL) {
        return check_failed(ret_error, -EINVAL, "%s", choice->wrong_word);
    }
    set_string(ret, meant);
    return 0;
}

int
check_http_parser(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    static const struct word words[] = {{"auto", "auto"}, {"fast", "fast"}, {"python", "python"}};
    static const struct choice choice = {words, ARRAY_LEN(words), "http_parser must be a string",
                                         "http_parser must be one of: auto, fast, python"};

    return check_listed(value, ret, ret_error, &choice);
}

int
check_proxy_protocol(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    static const struct word words[] = {
        {"off", "off"},   {"false", "off"}, {"0", "off"}, {"none", "off"}, {"auto", "auto"},
        {"true", "auto"}, {"1", "auto"},    {"v1", "v1"}, {"v2", "v2"},
    };
    static const struct choice choice = {words, ARRAY_LEN(words),
                                         "proxy_protocol must be string or bool",
                                         "proxy_protocol must be: off, v1, v2, or auto"};

    if (value->kind == CONFIG_VALUE_BOOL) {
        set_string(ret, value->boolean ? "auto" : "off");
        return 0;
    }
    return check_listed(value, ret, ret_error, &choice);
}

int
check_http2_cleartext(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    static const struct word words[] = {
        {"off", "off"},
        {"prior-knowledge", "prior-knowledge"},
        {"upgrade", "upgrade"},
        {"both", "both"},
        {"true", "prior-knowledge"},
        {"false", "off"},
    };
    static const struct choice choice = {
        words, ARRAY_LEN(words), "http2_cleartext must be string or bool",
        "http2_cleartext must be: off, prior-knowledge, upgrade, or both"};

    if (value->kind == CONFIG_VALUE_BOOL) {
        set_string(ret, value->boolean ? "prior-knowledge" : "off");
        return 0;
    }
    return check_listed(value, ret, ret_error, &choice);
}

/* Not folded and not stripped: Gunicorn looks the value up as it is. */
int
check_reload_engine(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    static const char *const engines[] = {"auto", "poll", "inotify"};

    for (size_t i = 0; i < ARRAY_LEN(engines) && value->kind == CONFIG_VALUE_STR; i++) {
        if (strcmp(value->string, engines[i]) == 0) {
            set_string(ret, engines[i]);
            return 0;
        }
    }
    struct buf text;
    text_init(&text);
    text_add(&text, "Invalid reload_engine: ");
    char *shown = check_text(value);
    if (value->kind == CONFIG_VALUE_STR) {
        text_add_repr(&text, shown);
    } else {
        text_add(&text, shown);
    }
    free(shown);
    *ret_error = text_take(&text);
    return -ENOENT;
}

/* Each item a known protocol and different from those before it. */
static int
check_protocols(const struct config_list *protocols, char **ret_error)
{
    static const char *const known[] = {"h1", "h2", "h3"};

    for (size_t i = 0; i < protocols->count; i++) {
        bool found = false;
        for (size_t k = 0; k < ARRAY_LEN(known); k++) {
            found = found || strcmp(protocols->items[i], known[k]) == 0;
        }
        if (!found) {
            return check_failed(ret_error, -EINVAL,
                                "Invalid protocol '%s'. Valid protocols: h1, h2, h3",
                                protocols->items[i]);
        }
    }
    for (size_t i = 1; i < protocols->count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(protocols->items[i], protocols->items[k]) == 0) {
                return check_failed(ret_error, -EINVAL, "Duplicate protocols specified");
            }
        }
    }
    return 0;
}

int
check_http_protocols(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    static const struct config_value standard = {.kind = CONFIG_VALUE_STR, .string = "h1"};
    struct setting_value list;

    if (value->kind == CONFIG_VALUE_NONE) {
        return check_commas(&standard, ret, ret_error);
    }
    if (value->kind != CONFIG_VALUE_STR) {
        return check_failed(ret_error, -EPROTOTYPE, "http_protocols must be a string");
    }
    char *lower = folded(value->string);
    int rc = check_commas(&(struct config_value){.kind = CONFIG_VALUE_STR, .string = lower}, &list,
                          ret_error);
    free(lower);
    if (rc < 0) {
        return rc;
    }
    if (list.list.count == 0) {
        return check_commas(&standard, ret, ret_error);
    }
    rc = check_protocols(&list.list, ret_error);
    if (rc < 0) {
        setting_value_fini(SETTING_TYPE_LIST, &list);
        return rc;
    }
    *ret = list;
    return 0;
}
