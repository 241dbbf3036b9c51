/* SPDX-License-Identifier: MIT */
#include "config/validate.h"

#include "base/mem.h"
#include "config/setting.h"
#include "config/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int
check_failed(char **ret_error, int error, const char *format, ...)
{
    va_list args;
    struct buf text;
    char *message = NULL;

    va_start(args, format);
    int n = vasprintf(&message, format, args);
    va_end(args);
    text_init(&text);
    text_add(&text, n < 0 ? "the value is wrong" : message);
    if (n >= 0) {
        free(message);
    }
    *ret_error = text_take(&text);
    return error;
}

static void
add_list(struct buf *text, const struct config_value *value)
{
    text_add(text, "[");
    for (size_t i = 0; i < value->count; i++) {
        text_add(text, i > 0 ? ", " : "");
        text_add_repr(text, value->items[i]);
    }
    text_add(text, "]");
}

char *
check_text(const struct config_value *value)
{
    struct buf text;

    text_init(&text);
    if (value->text != NULL) {
        text_add(&text, value->text);
        return text_take(&text);
    }
    switch (value->kind) {
    case CONFIG_VALUE_NONE:
        text_add(&text, "None");
        break;
    case CONFIG_VALUE_BOOL:
        text_add(&text, value->boolean ? "True" : "False");
        break;
    case CONFIG_VALUE_INT:
        text_add_int(&text, value->integer);
        break;
    case CONFIG_VALUE_STR:
        text_add(&text, value->string);
        break;
    case CONFIG_VALUE_LIST:
        add_list(&text, value);
        break;
    case CONFIG_VALUE_DICT:
        text_add(&text, "a dictionary");
        break;
    case CONFIG_VALUE_OBJECT:
        text_add(&text, "an object");
        break;
    }
    return text_take(&text);
}

/* What Python's str.strip() takes away, as far as it is ASCII. */
static bool
is_space(char c)
{
    return (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= ' ');
}

char *
check_stripped(const char *string)
{
    size_t n;

    while (is_space(*string)) {
        string++;
    }
    n = strlen(string);
    while (n > 0 && is_space(string[n - 1])) {
        n--;
    }
    char *copy = mem_alloc(n + 1);
    memcpy(copy, string, n);
    copy[n] = '\0';
    return copy;
}

/* Fails with `format`, whose one %s is the value. */
static int
fail_with_value(char **ret_error, int error, const char *before, const struct config_value *value,
                const char *after)
{
    char *text = check_text(value);

    check_failed(ret_error, error, "%s%s%s", before, text, after);
    free(text);
    return error;
}

int
check_string(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    if (value->kind == CONFIG_VALUE_NONE) {
        *ret = (struct setting_value){.none = true};
        return 0;
    }
    if (value->kind != CONFIG_VALUE_STR) {
        return fail_with_value(ret_error, -EPROTOTYPE, "Not a string: ", value, "");
    }
    *ret = (struct setting_value){.string = check_stripped(value->string)};
    return 0;
}

int
check_class(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    struct setting_value uri;

    if (value->kind == CONFIG_VALUE_OBJECT && value->object != NULL) {
        *ret = (struct setting_value){.class = {.object = value->object}};
        return 0;
    }
    int rc = check_string(value, &uri, ret_error);
    if (rc == 0) {
        *ret = (struct setting_value){.class = {.uri = uri.string}, .none = uri.none};
    }
    return rc;
}

int
check_bool(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    if (value->kind == CONFIG_VALUE_NONE || value->kind == CONFIG_VALUE_BOOL) {
        bool none = value->kind == CONFIG_VALUE_NONE;
        *ret = (struct setting_value){.boolean = !none && value->boolean, .none = none};
        return 0;
    }
    if (value->kind != CONFIG_VALUE_STR) {
        return fail_with_value(ret_error, -EPROTOTYPE, "Invalid type for casting: ", value, "");
    }
    char *word = check_stripped(value->string);
    bool yes = strcasecmp(word, "true") == 0;
    bool known = yes || strcasecmp(word, "false") == 0;
    free(word);
    if (!known) {
        return fail_with_value(ret_error, -EINVAL, "Invalid boolean: ", value, "");
    }
    *ret = (struct setting_value){.boolean = yes};
    return 0;
}

static int
digit_value(char c)
{
    if (isdigit((unsigned char)c)) {
        return c - '0';
    }
    return isalpha((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : 36;
}

/* The digits of a Python integer literal: single underscores may stand between them. */
static int
parse_digits(const char *s, int base, int64_t *ret_value)
{
    int64_t value = 0;
    bool digit_seen = false;

    for (; *s != '\0'; s++) {
        if (*s == '_' && digit_seen && s[1] != '_' && s[1] != '\0') {
            continue;
        }
        int digit = digit_value(*s);
        if (digit >= base) {
            return -EINVAL;
        }
        digit_seen = true;
        if (__builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit, &value)) {
            return -ERANGE;
        }
    }
    *ret_value = value;
    return digit_seen ? 0 : -EINVAL;
}

/* As Python's int(s, 0): a literal in base 10, 2, 8 or 16; a leading zero without a base is an
 * error, because it once meant octal. */
static int
parse_integer(const char *s, int64_t *ret_value)
{
    bool negative = *s == '-';
    int base = 10;
    int64_t value;

    s += negative || *s == '+';
    if (s[0] == '0' && s[1] != '\0' && strchr("xXoObB", s[1]) != NULL) {
        base = strchr("xX", s[1]) != NULL ? 16 : strchr("oO", s[1]) != NULL ? 8 : 2;
        s += 2;
        s += *s == '_';
    }
    int rc = parse_digits(s, base, &value);
    if (rc == 0 && base == 10 && s[0] == '0' && value != 0) {
        rc = -EINVAL;
    }
    if (rc == 0) {
        *ret_value = negative ? -value : value;
    }
    return rc;
}

static int
check_literal(const char *string, struct setting_value *ret, char **ret_error)
{
    char *trimmed = check_stripped(string);
    int64_t integer = 0;
    int rc = parse_integer(trimmed, &integer);
    free(trimmed);
    if (rc < 0) {
        struct buf text;
        text_init(&text);
        text_add(&text, rc == -ERANGE ? "Value is too large: "
                                      : "invalid literal for int() with base 0: ");
        text_add_repr(&text, string);
        *ret_error = text_take(&text);
        return -EINVAL;
    }
    *ret = (struct setting_value){.integer = integer};
    return 0;
}

static int
check_int(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    switch (value->kind) {
    case CONFIG_VALUE_BOOL:
        *ret = (struct setting_value){.integer = value->boolean};
        return 0;
    case CONFIG_VALUE_INT:
        *ret = (struct setting_value){.integer = value->integer};
        return 0;
    case CONFIG_VALUE_STR:
        return check_literal(value->string, ret, ret_error);
    default:
        return check_failed(ret_error, -EPROTOTYPE,
                            "int() can't convert non-string with explicit base");
    }
}

int
check_pos_int(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    struct setting_value checked = {0};
    int rc = check_int(value, &checked, ret_error);

    if (rc < 0) {
        return rc;
    }
    if (checked.integer < 0) {
        return check_failed(ret_error, -EINVAL, "Value must be positive: %lld",
                            (long long)checked.integer);
    }
    *ret = checked;
    return 0;
}

/* Cuts a unit off the end of `size`. Returns by how many bits the number before it is to be
 * shifted. */
static int
cut_unit(char *size)
{
    static const char units[] = "kmg";
    size_t n = strlen(size);
    const char *unit =
        n > 1 && isdigit((unsigned char)size[n - 2]) ? strchr(units, tolower(size[n - 1])) : NULL;
    if (unit == NULL) {
        return 0;
    }
    size[n - 1] = '\0';
    return 10 * (int)(unit - units + 1);
}

int
check_size(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    int64_t bytes = 0;

    if (value->kind != CONFIG_VALUE_STR) {
        return check_pos_int(value, ret, ret_error);
    }
    char *size = check_stripped(value->string);
    int bits = cut_unit(size);
    int rc = parse_integer(size, &bytes);
    free(size);
    if (rc < 0 || bytes < 0 || bytes > INT64_MAX >> bits) {
        return fail_with_value(ret_error, -EINVAL, "Invalid size: ", value,
                               " (bytes, or a number with k, m or g)");
    }
    *ret = (struct setting_value){.integer = bytes << bits};
    return 0;
}

int
check_http2_frame_size(const struct config_value *value, struct setting_value *ret,
                       char **ret_error)
{
    struct setting_value checked = {0};
    int rc = check_int(value, &checked, ret_error);

    if (rc < 0) {
        return rc;
    }
    /* RFC 9113 section 6.5.2 */
    if (checked.integer < 16384 || checked.integer > 16777215) {
        return check_failed(ret_error, -EINVAL,
                            "http2_max_frame_size must be between 16384 and 16777215, got %lld",
                            (long long)checked.integer);
    }
    *ret = checked;
    return 0;
}

int
check_ssl_version(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    char *ignored = NULL;

    (void)ret_error;
    if (check_int(value, ret, &ignored) < 0) {
        *ret = (struct setting_value){.integer = -1};
        free(ignored);
    }
    return 0;
}

static void
list_append(struct config_list *list, char *item)
{
    list->items = mem_realloc(list->items, (list->count + 1) * sizeof(list->items[0]));
    list->items[list->count++] = item;
}

static bool
is_falsy(const struct config_value *value)
{
    switch (value->kind) {
    case CONFIG_VALUE_NONE:
        return true;
    case CONFIG_VALUE_BOOL:
        return !value->boolean;
    case CONFIG_VALUE_INT:
        return value->integer == 0;
    case CONFIG_VALUE_STR:
        return value->string[0] == '\0';
    case CONFIG_VALUE_LIST:
    case CONFIG_VALUE_DICT:
        return value->count == 0;
    case CONFIG_VALUE_OBJECT:
        return false;
    }
    return false;
}

int
check_list(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    struct setting_value list = {0};

    if (is_falsy(value)) {
        *ret = list;
        return 0;
    }
    if (value->kind == CONFIG_VALUE_STR) {
        list_append(&list.list, check_stripped(value->string));
    } else if (value->kind == CONFIG_VALUE_LIST) {
        for (size_t i = 0; i < value->count; i++) {
            list_append(&list.list, check_stripped(value->items[i]));
        }
    } else {
        return fail_with_value(ret_error, -EPROTOTYPE, "Not a list of strings: ", value, "");
    }
    *ret = list;
    return 0;
}

int
check_commas(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    struct setting_value string;
    struct setting_value list = {0};
    int rc = check_string(value, &string, ret_error);

    if (rc < 0) {
        return rc;
    }
    char *rest = string.string;
    for (char *item; (item = strsep(&rest, ",")) != NULL;) {
        if (item[0] != '\0') {
            list_append(&list.list, check_stripped(item));
        }
    }
    free(string.string);
    *ret = list;
    return 0;
}

int
check_dict(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    struct setting_value dict = {0};

    if (value->kind != CONFIG_VALUE_DICT) {
        return fail_with_value(ret_error, -EPROTOTYPE, "Value is not a dictionary: ", value, " ");
    }
    if (value->count > 0 && value->pairs == NULL) {
        return fail_with_value(ret_error, -EPROTOTYPE,
                               "Value is not a dictionary of strings: ", value, "");
    }
    dict.dict.items = mem_array(value->count, sizeof(dict.dict.items[0]));
    for (size_t i = 0; i < value->count; i++) {
        dict.dict.items[i].name = mem_strdup(value->pairs[i].name);
        dict.dict.items[i].value = mem_strdup(value->pairs[i].value);
    }
    dict.dict.count = value->count;
    *ret = dict;
    return 0;
}

int
check_object(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    if (value->kind != CONFIG_VALUE_DICT) {
        return fail_with_value(ret_error, -EPROTOTYPE, "Value is not a dictionary: ", value, " ");
    }
    *ret = (struct setting_value){.object = value->count > 0 ? value->object : NULL};
    return 0;
}

/* The Python side has checked that it can be called with the right number of arguments. */
int
check_hook(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    if (value->kind != CONFIG_VALUE_OBJECT && value->kind != CONFIG_VALUE_NONE) {
        return fail_with_value(ret_error, -EPROTOTYPE, "Value is not callable: ", value, "");
    }
    *ret = (struct setting_value){.object = value->object};
    return 0;
}
