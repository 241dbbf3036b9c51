/* SPDX-License-Identifier: MIT */
/*
 * Validators: each takes a value as the user gave it, checks it and converts it into the form in
 * which struct config holds it, or says in Gunicorn's words what is wrong with it. One signature,
 * that of `validate` in struct setting; the errors are those of config_set(). They look at the
 * process (user ids, current directory, files, SENDFILE) but change nothing.
 */
#ifndef SAOLA_CONFIG_VALIDATE_H
#define SAOLA_CONFIG_VALIDATE_H

#include "base/macros.h"

struct config_value;
struct setting_value;

#define VALIDATOR(name)                                                                     \
    int name(const struct config_value *value, struct setting_value *ret, char **ret_error) \
        NODISCARD

/* validate.c: by type */
VALIDATOR(check_bool);
VALIDATOR(check_class);
VALIDATOR(check_commas); /* "a, b": a list */
VALIDATOR(check_dict);
VALIDATOR(check_hook);
VALIDATOR(check_list);
VALIDATOR(check_object);
VALIDATOR(check_pos_int);
VALIDATOR(check_size); /* bytes: 1048576, 1024k, 1m */
VALIDATOR(check_string);

/* validate_words.c: one of a few words */
VALIDATOR(check_asgi_lifespan);
VALIDATOR(check_asgi_loop);
VALIDATOR(check_header_map);
VALIDATOR(check_http2_cleartext);
VALIDATOR(check_http2_frame_size);
VALIDATOR(check_http_parser);
VALIDATOR(check_http_protocols);
VALIDATOR(check_proxy_protocol);
VALIDATOR(check_reload_engine);
VALIDATOR(check_ssl_version);

/* validate_system.c: what exists on this machine, and addresses */
VALIDATOR(check_addresses);
VALIDATOR(check_chdir);
VALIDATOR(check_files);
VALIDATOR(check_group);
VALIDATOR(check_sendfile);
VALIDATOR(check_statsd);
VALIDATOR(check_user);

/* For the validators' own use: an error text, returned as `error`. */
int check_failed(char **ret_error, int error, const char *format, ...) PRINTF_LIKE(3, 4) COLD;
/* The value as Python's str() shows it, for such a text; to be released with free(). */
char *check_text(const struct config_value *value) NODISCARD;
/* A copy without the white space at both ends. */
char *check_stripped(const char *string) NODISCARD;

#endif
