/* SPDX-License-Identifier: MIT */
#include "config/validate.h"

#include "base/mem.h"
#include "config/setting.h"
#include "config/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- users and groups --- */

enum { NAME_BUFFER_BYTES = 64 * 1024 }; /* for the members of a large group */

static int
find_user(const char *name, int64_t *ret_id)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char *buffer = mem_alloc(NAME_BUFFER_BYTES);

    int rc = getpwnam_r(name, &entry, buffer, NAME_BUFFER_BYTES, &found);
    if (found != NULL) {
        *ret_id = entry.pw_uid;
    }
    free(buffer);
    return found != NULL ? 0 : rc != 0 ? -rc : -ENOENT;
}

static int
find_group(const char *name, int64_t *ret_id)
{
    struct group entry;
    struct group *found = NULL;
    char *buffer = mem_alloc(NAME_BUFFER_BYTES);

    int rc = getgrnam_r(name, &entry, buffer, NAME_BUFFER_BYTES, &found);
    if (found != NULL) {
        *ret_id = entry.gr_gid;
    }
    free(buffer);
    return found != NULL ? 0 : rc != 0 ? -rc : -ENOENT;
}

static bool
is_all_digits(const char *string)
{
    return string[0] != '\0' && string[strspn(string, "0123456789")] == '\0';
}

struct id_kind {
    const char *noun;
    int (*find)(const char *name, int64_t *ret_id);
};

static int
check_id(const struct config_value *value, struct setting_value *ret, char **ret_error,
         const struct id_kind *kind)
{
    int64_t id = 0;

    if (value->kind == CONFIG_VALUE_INT || value->kind == CONFIG_VALUE_BOOL) {
        id = value->kind == CONFIG_VALUE_INT ? value->integer : value->boolean;
    } else if (value->kind != CONFIG_VALUE_STR) {
        char *text = check_text(value);
        check_failed(ret_error, -EPROTOTYPE, "Not a %s: %s", kind->noun, text);
        free(text);
        return -EPROTOTYPE;
    } else if (is_all_digits(value->string)) {
        errno = 0;
        id = strtoll(value->string, NULL, 10);
        if (errno != 0) {
            return check_failed(ret_error, -EINVAL, "Value is too large: '%s'", value->string);
        }
    } else if (kind->find(value->string, &id) < 0) {
        return check_failed(ret_error, -ENOENT, "No such %s: '%s'", kind->noun, value->string);
    }
    *ret = (struct setting_value){.integer = id};
    return 0;
}

int
check_user(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    static const struct id_kind kind = {"user", find_user};

    if (value->kind == CONFIG_VALUE_NONE) {
        *ret = (struct setting_value){.integer = geteuid()};
        return 0;
    }
    return check_id(value, ret, ret_error, &kind);
}

int
check_group(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    static const struct id_kind kind = {"group", find_group};

    if (value->kind == CONFIG_VALUE_NONE) {
        *ret = (struct setting_value){.integer = getegid()};
        return 0;
    }
    return check_id(value, ret, ret_error, &kind);
}

/* --- files and directories --- */

/* The current directory by the name the shell knows it by, symbolic links kept. */
static char *
current_directory(void)
{
    const char *pwd = getenv("PWD");
    struct stat named;
    struct stat here;
    char path[PATH_MAX];

    if (pwd != NULL && pwd[0] == '/' && stat(pwd, &named) == 0 && stat(".", &here) == 0 &&
        named.st_ino == here.st_ino && named.st_dev == here.st_dev) {
        return mem_strdup(pwd);
    }
    return mem_strdup(getcwd(path, sizeof(path)) != NULL ? path : "/");
}

/* `path` below `directory` unless it is absolute, without ".", ".." and doubled slashes: the names
 * alone decide, symbolic links are not followed. */
static char *
absolute_path(const char *directory, const char *path)
{
    struct buf text;
    char *joined = path[0] == '/' ? mem_strdup(path) : mem_printf("%s/%s", directory, path);
    char *rest = joined;

    text_init(&text);
    for (char *name; (name = strsep(&rest, "/")) != NULL;) {
        if (name[0] == '\0' || strcmp(name, ".") == 0) {
            continue;
        }
        if (strcmp(name, "..") != 0) {
            text_add(&text, "/");
            text_add(&text, name);
            continue;
        }
        const char *slash = text.len > 0 ? memrchr(text.data, '/', text.len) : NULL;
        text.len = slash != NULL ? (size_t)(slash - text.data) : 0;
    }
    if (text.len == 0) {
        text_add(&text, "/");
    }
    free(joined);
    return text_take(&text);
}

int
check_chdir(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    struct setting_value string;
    int rc = check_string(value, &string, ret_error);

    if (rc < 0) {
        return rc;
    }
    char *here = current_directory();
    char *path = absolute_path(here, string.none ? "" : string.string);
    if (access(path, F_OK) == 0) {
        *ret = (struct setting_value){.string = path};
        path = NULL;
    } else {
        struct buf text;
        text_init(&text);
        text_add(&text, "can't chdir to ");
        text_add_repr(&text, string.string);
        *ret_error = text_take(&text);
        rc = -ENOENT;
    }
    free(path);
    free(here);
    free(string.string);
    return rc;
}

int
check_files(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    struct setting_value files;
    int rc = check_list(value, &files, ret_error);

    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < files.list.count; i++) {
        const char *file = files.list.items[i];
        bool is_pattern = strpbrk(file, "*?[") != NULL;
        if (!is_pattern && access(file, F_OK) != 0) {
            rc = check_failed(ret_error, -EINVAL, "File %s does not exists.", file);
            setting_value_fini(SETTING_TYPE_LIST, &files);
            return rc;
        }
    }
    *ret = files;
    return 0;
}

int
check_sendfile(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    static const char *const yes[] = {"y", "1", "yes", "true"};
    const char *wanted = getenv("SENDFILE");

    if (value->kind != CONFIG_VALUE_NONE) {
        return check_bool(value, ret, ret_error);
    }
    *ret = (struct setting_value){.boolean = wanted == NULL, .none = true};
    for (size_t i = 0; wanted != NULL && i < ARRAY_LEN(yes); i++) {
        ret->boolean = ret->boolean || strcasecmp(wanted, yes[i]) == 0;
    }
    return 0;
}

/* --- addresses --- */

enum { ADDRESS_BYTES_MAX = 16 };

/* The number of leading one bits, or -1 if ones follow zeros. */
static int
mask_bits(const unsigned char *mask, size_t n)
{
    size_t bits = 0;

    while (bits < 8 * n && (mask[bits / 8] & (0x80 >> bits % 8)) != 0) {
        bits++;
    }
    for (size_t i = bits; i < 8 * n; i++) {
        if ((mask[i / 8] & (0x80 >> i % 8)) != 0) {
            return -1;
        }
    }
    return (int)bits;
}

/* The prefix length behind the slash: a number, or for IPv4 a netmask or its complement. */
static int
parse_prefix(const char *text, size_t address_bytes)
{
    unsigned char mask[ADDRESS_BYTES_MAX];

    if (is_all_digits(text)) {
        long bits = strlen(text) <= 9 ? strtol(text, NULL, 10) : LONG_MAX;
        return bits <= (long)(8 * address_bytes) ? (int)bits : -EINVAL;
    }
    if (address_bytes != sizeof(struct in_addr) || inet_pton(AF_INET, text, mask) != 1) {
        return -EINVAL;
    }
    int bits = mask_bits(mask, address_bytes);
    for (size_t i = 0; i < address_bytes && bits < 0; i++) {
        mask[i] = (unsigned char)~mask[i];
    }
    return bits >= 0 ? bits : mask_bits(mask, address_bytes);
}

/* 0 for an address or a network; -EINVAL for neither, -ERANGE if bits are set behind the prefix. */
static int
parse_network(const char *string)
{
    unsigned char address[ADDRESS_BYTES_MAX];
    char *copy = mem_strdup(string);
    char *prefix = strchr(copy, '/');
    int rc = -EINVAL;

    if (prefix != NULL) {
        *prefix++ = '\0';
    }
    size_t n = inet_pton(AF_INET, copy, address) == 1    ? sizeof(struct in_addr)
               : inet_pton(AF_INET6, copy, address) == 1 ? sizeof(struct in6_addr)
                                                         : 0;
    int bits = n == 0 ? -EINVAL : prefix == NULL ? (int)(8 * n) : parse_prefix(prefix, n);
    free(copy);
    if (bits < 0) {
        return rc;
    }
    for (size_t i = (size_t)bits; i < 8 * n; i++) {
        if ((address[i / 8] & (0x80 >> i % 8)) != 0) {
            return -ERANGE;
        }
    }
    return 0;
}

static int
check_network(const char *string, char **ret_error)
{
    int rc = strcmp(string, "*") == 0 ? 0 : parse_network(string);
    struct buf text;

    if (rc == 0) {
        return 0;
    }
    text_init(&text);
    if (rc == -ERANGE) {
        text_add(&text, string);
        text_add(&text, " has host bits set");
    } else {
        text_add_repr(&text, string);
        text_add(&text, " does not appear to be an IPv4 or IPv6 network");
    }
    *ret_error = text_take(&text);
    return -EINVAL;
}

int
check_addresses(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    struct setting_value networks;
    int rc = check_commas(value, &networks, ret_error);

    for (size_t i = 0; rc == 0 && i < networks.list.count; i++) {
        rc = check_network(networks.list.items[i], ret_error);
        if (rc < 0) {
            setting_value_fini(SETTING_TYPE_LIST, &networks);
        }
    }
    if (rc == 0) {
        *ret = networks;
    }
    return rc;
}

/* HOST, HOST:PORT, [IPV6]:PORT, unix:PATH; kept as it is written. */
int
check_statsd(const struct config_value *value, struct setting_value *ret, char **ret_error)
{
    struct setting_value string;
    int rc = check_string(value, &string, ret_error);

    if (rc < 0 || string.none) {
        if (rc == 0) {
            *ret = string;
        }
        return rc;
    }
    const char *host = string.string;
    const char *bracket = host[0] == '[' ? strchr(host, ']') : NULL;
    const char *port = strchr(bracket != NULL ? bracket : host, ':');
    if (strncmp(host, "unix:", 5) != 0 && port != NULL && !is_all_digits(port + 1)) {
        free(string.string);
        return check_failed(ret_error, -EPROTOTYPE,
                            "Value must be one of ('host:port', 'unix://PATH')");
    }
    *ret = string;
    return 0;
}
