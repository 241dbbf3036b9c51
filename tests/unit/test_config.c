/* SPDX-License-Identifier: MIT */
#include "config/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macros.h"
#include "config/setting.h"
#include "config/text.h"

static const struct config_origin from_file = {CONFIG_FILE, "/etc/x.conf.py"};

static struct config_value
string(const char *s)
{
    return (struct config_value){.kind = CONFIG_VALUE_STR, .string = s};
}

static struct config_value
integer(int64_t i)
{
    return (struct config_value){.kind = CONFIG_VALUE_INT, .integer = i};
}

static const struct config_value none = {.kind = CONFIG_VALUE_NONE};
static const struct config_value yes = {.kind = CONFIG_VALUE_BOOL, .boolean = true};

/* Sets the value and compares what config_render() makes of it. */
static void
assert_becomes(enum setting_id id, struct config_value value, const char *rendered)
{
    struct config *cfg = config_new();
    char *error = NULL;

    int rc = config_set(cfg, id, &value, from_file, &error);
    if (rc < 0) {
        print_error("%s: %s\n", setting_get(id)->name, error);
    }
    assert_int_equal(rc, 0);
    char *text = config_render(cfg, id);
    assert_string_equal(text, rendered);
    assert_int_equal(cfg->origin[id].source, CONFIG_FILE);
    free(text);
    config_free(cfg);
}

static void
assert_refused(enum setting_id id, struct config_value value, int rc, const char *text)
{
    struct config *cfg = config_new();
    char *before = config_render(cfg, id);
    char *error = NULL;

    assert_int_equal(config_set(cfg, id, &value, from_file, &error), rc);
    assert_string_equal(error, text);
    char *after = config_render(cfg, id);
    assert_string_equal(before, after);
    assert_int_equal(cfg->origin[id].source, CONFIG_DEFAULT);
    free(error);
    free(before);
    free(after);
    config_free(cfg);
}

/* --- the table --- */

static void
test_every_setting_is_found_by_its_name(void **state)
{
    (void)state;
    int own = 0;
    for (int id = 0; id < SETTINGS_COUNT; id++) {
        assert_int_equal(config_lookup(setting_get(id)->name), id);
        assert_true(strlen(setting_get(id)->help) > 0);
        own += setting_get(id)->own;
    }
    assert_int_equal(SETTINGS_COUNT - own, 119);
    assert_true(setting_get(SETTING_permit_missing_host)->own);
    assert_int_equal(config_lookup("Workers"), -ENOENT);
    assert_int_equal(config_lookup(""), -ENOENT);
}

static void
test_defaults(void **state)
{
    struct config *cfg = config_new();

    (void)state;
    assert_int_equal(cfg->workers, 1);
    assert_int_equal(cfg->backlog, 2048);
    assert_int_equal(cfg->bind.count, 1);
    assert_string_equal(cfg->bind.items[0], "127.0.0.1:8000");
    assert_string_equal(cfg->worker_class.uri, "sync");
    assert_null(cfg->accesslog);
    assert_string_equal(cfg->errorlog, "-");
    assert_false(cfg->preload_app);
    assert_null(cfg->pre_fork);
    assert_int_equal(cfg->user, geteuid());
    assert_int_equal(cfg->group, getegid());
    assert_string_equal(cfg->header_map, "drop");
    assert_int_equal(cfg->forwarded_allow_ips.count, 2);
    assert_string_equal(cfg->forwarded_allow_ips.items[1], "::1");
    assert_int_equal(cfg->secure_scheme_headers.count, 3);
    assert_string_equal(cfg->secure_scheme_headers.items[0].name, "X-FORWARDED-PROTOCOL");
    assert_string_equal(cfg->secure_scheme_headers.items[0].value, "ssl");
    assert_string_equal(config_proc_name(cfg), "saola");
    config_free(cfg);
    config_free(NULL);
}

static void
test_every_default_can_be_set(void **state)
{
    struct config *cfg = config_new();

    (void)state;
    for (int id = 0; id < SETTINGS_COUNT; id++) {
        char *error = NULL;
        char *before = config_render(cfg, id);
        int rc = config_set(cfg, id, &setting_get(id)->initial, from_file, &error);
        assert_int_equal(rc, 0);
        char *after = config_render(cfg, id);
        assert_string_equal(before, after);
        free(before);
        free(after);
    }
    config_free(cfg);
}

/* --- values --- */

static void
test_integers(void **state)
{
    static const struct {
        const char *given;
        const char *rendered;
    } good[] = {
        {"3", "3"},        {" 3\n", "3"},  {"0x10", "16"},
        {"0o17", "15"},    {"0b101", "5"}, {"0X_1F", "31"},
        {"1_000", "1000"}, {"+4", "4"},    {"0", "0"},
        {"000", "0"},      {"-0", "0"},    {"9223372036854775807", "9223372036854775807"},
    };
    static const char *const bad[] = {"",     " ",  "x",  "010", "1.5", "0x",
                                      "1__0", "_1", "1_", "0o8", "+",   "1 2"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_becomes(SETTING_workers, string(good[i].given), good[i].rendered);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char text[80];
        snprintf(text, sizeof(text), "invalid literal for int() with base 0: '%s'", bad[i]);
        assert_refused(SETTING_workers, string(bad[i]), -EINVAL, text);
    }
    assert_becomes(SETTING_workers, integer(7), "7");
    assert_becomes(SETTING_workers, yes, "1");
    assert_refused(SETTING_workers, integer(-1), -EINVAL, "Value must be positive: -1");
    assert_refused(SETTING_workers, string("-0x10"), -EINVAL, "Value must be positive: -16");
    assert_refused(SETTING_workers, string("9223372036854775808"), -EINVAL,
                   "Value is too large: '9223372036854775808'");
    assert_refused(SETTING_workers, none, -EPROTOTYPE,
                   "int() can't convert non-string with explicit base");
}

static void
test_sizes(void **state)
{
    static const char *const bad[] = {"",   "k",  "1kb", "1.5g",        "-1",
                                      "5x", "1t", "-1k", "8589934592g", "9223372036854775808"};

    (void)state;
    assert_becomes(SETTING_max_worker_rss, string("4096"), "4096");
    assert_becomes(SETTING_max_worker_rss, string(" 4k\n"), "4096");
    assert_becomes(SETTING_max_worker_rss, string("0x3M"), "3145728");
    assert_becomes(SETTING_max_worker_rss, string("8589934591g"), "9223372035781033984");
    assert_becomes(SETTING_max_worker_rss, integer(7), "7");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char text[120];
        snprintf(text, sizeof(text), "Invalid size: %s (bytes, or a number with k, m or g)",
                 bad[i]);
        assert_refused(SETTING_max_worker_rss, string(bad[i]), -EINVAL, text);
    }
    assert_refused(SETTING_max_worker_rss, integer(-1), -EINVAL, "Value must be positive: -1");
}

static void
test_booleans(void **state)
{
    (void)state;
    assert_becomes(SETTING_preload_app, yes, "True");
    assert_becomes(SETTING_preload_app, string(" TRUE "), "True");
    assert_becomes(SETTING_preload_app, string("false"), "False");
    assert_becomes(SETTING_preload_app, none, "None");
    assert_refused(SETTING_preload_app, string("yes"), -EINVAL, "Invalid boolean: yes");
    assert_refused(SETTING_preload_app, integer(1), -EPROTOTYPE, "Invalid type for casting: 1");
}

static void
test_strings(void **state)
{
    (void)state;
    assert_becomes(SETTING_accesslog, string(" a b\t"), "a b");
    assert_becomes(SETTING_accesslog, none, "None");
    assert_becomes(SETTING_accesslog, string(""), "");
    assert_refused(SETTING_accesslog, integer(5), -EPROTOTYPE, "Not a string: 5");
    assert_refused(SETTING_accesslog, yes, -EPROTOTYPE, "Not a string: True");
}

static void
test_lists(void **state)
{
    static const char *const two[] = {"a", " it's "};
    struct config_value list = {.kind = CONFIG_VALUE_LIST, .items = two, .count = 2};

    (void)state;
    assert_becomes(SETTING_bind, list, "['a', \"it's\"]");
    assert_becomes(SETTING_bind, string("a,b"), "['a,b']");
    assert_becomes(SETTING_bind, none, "[]");
    assert_becomes(SETTING_bind, integer(0), "[]");
    assert_refused(SETTING_bind, integer(80), -EPROTOTYPE, "Not a list of strings: 80");
    assert_refused(SETTING_accesslog, list, -EPROTOTYPE, "Not a string: ['a', \" it's \"]");
    assert_becomes(SETTING_forwarder_headers, string("A, B,,C "), "['A', 'B', 'C']");
    assert_refused(SETTING_forwarder_headers, list, -EPROTOTYPE, "Not a string: ['a', \" it's \"]");
}

static void
test_dictionaries(void **state)
{
    static const struct config_pair pairs[] = {{"A", "b"}, {"C", "d"}};
    struct config_value dict = {.kind = CONFIG_VALUE_DICT, .pairs = pairs, .count = 2};
    struct config_value mixed = {.kind = CONFIG_VALUE_DICT, .count = 1, .text = "{1: 2}"};

    (void)state;
    assert_becomes(SETTING_secure_scheme_headers, dict, "{'A': 'b', 'C': 'd'}");
    assert_refused(SETTING_secure_scheme_headers, mixed, -EPROTOTYPE,
                   "Value is not a dictionary of strings: {1: 2}");
    assert_refused(SETTING_secure_scheme_headers, string("x"), -EPROTOTYPE,
                   "Value is not a dictionary: x ");
}

static void
test_addresses(void **state)
{
    static const char *const good[] = {"*",
                                       "127.0.0.1",
                                       "10.0.0.0/8",
                                       "10.0.0.0/255.0.0.0",
                                       "10.0.0.0/0.255.255.255",
                                       "0.0.0.0/0",
                                       "::1",
                                       "2001:db8::/32",
                                       "::/0"};
    static const char *const bad[] = {"example.com", "10.0.0.0/33",    "10.0.0.0/",
                                      "1.2.3",       "2001:db8::/129", "10.0.0.0/255.0.255.0",
                                      "01.2.3.4"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        char text[80];
        snprintf(text, sizeof(text), "['%s']", good[i]);
        assert_becomes(SETTING_forwarded_allow_ips, string(good[i]), text);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char text[120];
        snprintf(text, sizeof(text), "'%s' does not appear to be an IPv4 or IPv6 network", bad[i]);
        assert_refused(SETTING_forwarded_allow_ips, string(bad[i]), -EINVAL, text);
    }
    assert_refused(SETTING_forwarded_allow_ips, string("::1,192.168.1.1/24"), -EINVAL,
                   "192.168.1.1/24 has host bits set");
    assert_becomes(SETTING_forwarded_allow_ips, string(""), "[]");
}

static void
test_users_and_groups(void **state)
{
    (void)state;
    assert_becomes(SETTING_user, string("root"), "0");
    assert_becomes(SETTING_user, string("1234"), "1234");
    assert_becomes(SETTING_user, integer(12), "12");
    assert_becomes(SETTING_group, string("root"), "0");
    assert_refused(SETTING_user, string("no such one"), -ENOENT, "No such user: 'no such one'");
    assert_refused(SETTING_group, string("no such one"), -ENOENT, "No such group: 'no such one'");
    assert_refused(SETTING_group, (struct config_value){.kind = CONFIG_VALUE_LIST}, -EPROTOTYPE,
                   "Not a group: []");
}

static void
test_chdir(void **state)
{
    (void)state;
    assert_becomes(SETTING_chdir, string("/"), "/");
    assert_becomes(SETTING_chdir, string("//usr/./bin/../lib//"), "/usr/lib");
    assert_becomes(SETTING_chdir, string("/../.."), "/");
    assert_refused(SETTING_chdir, string("/no'where"), -ENOENT, "can't chdir to \"/no'where\"");
}

static void
test_words(void **state)
{
    (void)state;
    assert_becomes(SETTING_header_map, string(" Refuse"), "refuse");
    assert_refused(SETTING_header_map, string("Keep"), -EINVAL,
                   "Invalid header map behaviour: Keep");
    assert_refused(SETTING_header_map, integer(1), -EPROTOTYPE, "Invalid type for casting: 1");
    assert_becomes(SETTING_proxy_protocol, string("none"), "off");
    assert_refused(SETTING_proxy_protocol, string("v3"), -EINVAL,
                   "proxy_protocol must be: off, v1, v2, or auto");
    assert_becomes(SETTING_http_protocols, string(" H1 "), "['h1']");
    assert_refused(SETTING_http_protocols, string("h1,h9"), -EINVAL,
                   "Invalid protocol 'h9'. Valid protocols: h1, h2, h3");
    assert_refused(SETTING_http_protocols, string("h1,h1"), -EINVAL,
                   "Duplicate protocols specified");
    assert_refused(SETTING_reload_engine, string("Poll"), -ENOENT, "Invalid reload_engine: 'Poll'");
    assert_refused(SETTING_http2_max_frame_size, integer(1), -EINVAL,
                   "http2_max_frame_size must be between 16384 and 16777215, got 1");
    assert_refused(SETTING_reload_extra_files, string("/no/where"), -EINVAL,
                   "File /no/where does not exists.");
}

static void
test_sendfile_asks_the_environment(void **state)
{
    (void)state;
    setenv("SENDFILE", "no", 1);
    struct config *cfg = config_new();
    assert_false(cfg->sendfile);
    config_free(cfg);
    setenv("SENDFILE", "YES", 1);
    cfg = config_new();
    assert_true(cfg->sendfile);
    config_free(cfg);
    unsetenv("SENDFILE");
    cfg = config_new();
    assert_true(cfg->sendfile);
    char *text = config_render(cfg, SETTING_sendfile);
    assert_string_equal(text, "None");
    free(text);
    config_free(cfg);
}

static void
test_environment(void **state)
{
    struct config *cfg = config_new();
    char *error = NULL;

    (void)state;
    setenv("PORT", "9000", 1);
    setenv("WEB_CONCURRENCY", "4", 1);
    setenv("FORWARDED_ALLOW_IPS", "*", 1);
    assert_int_equal(config_set_environment(cfg, &error), 0);
    assert_int_equal(cfg->workers, 4);
    assert_string_equal(cfg->bind.items[0], "0.0.0.0:9000");
    assert_string_equal(cfg->forwarded_allow_ips.items[0], "*");
    assert_int_equal(cfg->origin[SETTING_workers].source, CONFIG_ENVIRONMENT);
    assert_string_equal(cfg->origin[SETTING_workers].where, "WEB_CONCURRENCY");
    setenv("WEB_CONCURRENCY", "many", 1);
    assert_int_equal(config_set_environment(cfg, &error), -EINVAL);
    assert_string_equal(error, "WEB_CONCURRENCY: invalid literal for int() with base 0: 'many'");
    free(error);
    config_free(cfg);
    unsetenv("PORT");
    unsetenv("WEB_CONCURRENCY");
    unsetenv("FORWARDED_ALLOW_IPS");
}

static void
test_objects_are_carried(void **state)
{
    struct config *cfg = config_new();
    char *error = NULL;
    int object;
    struct config_value hook = {
        .kind = CONFIG_VALUE_OBJECT, .object = &object, .text = "<my_hook()>"};

    (void)state;
    assert_int_equal(config_set(cfg, SETTING_pre_fork, &hook, from_file, &error), 0);
    assert_ptr_equal(cfg->pre_fork, &object);
    char *text = config_render(cfg, SETTING_pre_fork);
    assert_string_equal(text, "<my_hook()>");
    free(text);
    text = config_render(cfg, SETTING_nworkers_changed);
    assert_string_equal(text, "<NumWorkersChanged.nworkers_changed()>");
    free(text);
    config_free(cfg);
}

static void
assert_unsupported(const struct config *cfg, enum setting_id id, const char *expected)
{
    char *text = config_unsupported(cfg, id);

    if (expected == NULL) {
        assert_null(text);
    } else {
        assert_string_equal(text, expected);
    }
    free(text);
}

static void
assert_set(struct config *cfg, enum setting_id id, struct config_value value,
           struct config_origin origin)
{
    char *error = NULL;

    assert_int_equal(config_set(cfg, id, &value, origin, &error), 0);
}

static void
test_what_is_not_supported_yet(void **state)
{
    struct config *cfg = config_new();
    struct config_origin command_line = {CONFIG_COMMAND_LINE, NULL};
    struct config_origin variable = {CONFIG_CMD_ARGS_ENV, "SAOLA_CMD_ARGS"};

    (void)state;
    for (enum setting_id id = 0; id < SETTINGS_COUNT; id++) {
        assert_unsupported(cfg, id, NULL);
    }
    assert_set(cfg, SETTING_threads, integer(4), from_file);
    assert_unsupported(cfg, SETTING_threads,
                       "threads = 4 is not supported yet (from /etc/x.conf.py). Remove it, or set "
                       "it to 1.");
    assert_set(cfg, SETTING_threads, integer(4), command_line);
    assert_unsupported(cfg, SETTING_threads,
                       "threads = 4 is not supported yet (from the command line, --threads). "
                       "Remove it, or set it to 1.");
    assert_set(cfg, SETTING_threads, integer(1), command_line);
    assert_unsupported(cfg, SETTING_threads, NULL);
    assert_set(cfg, SETTING_certfile, string("a.pem"), variable);
    assert_unsupported(cfg, SETTING_certfile,
                       "certfile = a.pem is not supported yet (from SAOLA_CMD_ARGS, --certfile). "
                       "Remove it.");
    config_free(cfg);
}

static void
test_a_socket_that_is_disabled_is_not_asked_for(void **state)
{
    struct config *cfg = config_new();

    (void)state;
    assert_set(cfg, SETTING_control_socket, string("/run/x.ctl"), from_file);
    assert_unsupported(cfg, SETTING_control_socket,
                       "control_socket = /run/x.ctl is not supported yet (from /etc/x.conf.py). "
                       "Remove it.");
    assert_set(cfg, SETTING_control_socket_disable, yes, from_file);
    assert_unsupported(cfg, SETTING_control_socket, NULL);
    config_free(cfg);
}

static void
test_proc_name(void **state)
{
    struct config *cfg = config_new();
    struct config_value given = string("shop");
    char *error = NULL;

    (void)state;
    assert_int_equal(config_set(cfg, SETTING_default_proc_name, &given, from_file, &error), 0);
    assert_string_equal(config_proc_name(cfg), "shop");
    given = string("office");
    assert_int_equal(config_set(cfg, SETTING_proc_name, &given, from_file, &error), 0);
    assert_string_equal(config_proc_name(cfg), "office");
    config_free(cfg);
}

/* --- texts --- */

static void
test_repr_is_python_s(void **state)
{
    static const struct {
        const char *string;
        const char *repr;
    } cases[] = {
        {"", "''"},
        {"a", "'a'"},
        {"it's", "\"it's\""},
        {"it's \"it\"", "'it\\'s \"it\"'"},
        {"\\ \n\r\t\x01\x7f", "'\\\\ \\n\\r\\t\\x01\\x7f'"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "'\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80'"},
        {"\xff\xc3", "'\\udcff\\udcc3'"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf text;
        text_init(&text);
        text_add_repr(&text, cases[i].string);
        char *repr = text_take(&text);
        assert_string_equal(repr, cases[i].repr);
        free(repr);
    }
}

static void
test_integers_are_written_in_full(void **state)
{
    struct buf text;

    (void)state;
    text_init(&text);
    text_add_int(&text, INT64_MIN);
    text_add(&text, " ");
    text_add_int(&text, INT64_MAX);
    char *written = text_take(&text);
    assert_string_equal(written, "-9223372036854775808 9223372036854775807");
    free(written);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_setting_is_found_by_its_name),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_default_can_be_set),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_booleans),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_dictionaries),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_users_and_groups),
        cmocka_unit_test(test_chdir),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_sendfile_asks_the_environment),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_objects_are_carried),
        cmocka_unit_test(test_what_is_not_supported_yet),
        cmocka_unit_test(test_a_socket_that_is_disabled_is_not_asked_for),
        cmocka_unit_test(test_proc_name),
        cmocka_unit_test(test_repr_is_python_s),
        cmocka_unit_test(test_integers_are_written_in_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
