/* SPDX-License-Identifier: MIT */
#include "http/access_log_format.h"

#include "base/mem.h"
#include "http/access_log_op.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct atom_info {
    const char *name;
    uint8_t atom;
    bool number; /* types other than s make sense */
    uint8_t needs;
    uint16_t span;
} ATOMS[] = {
#define SPAN_ATOM(name, member, needs)                                            \
    {                                                                             \
        name, ATOM_SPAN, false, needs, offsetof(struct access_log_record, member) \
    }
    SPAN_ATOM("t", date, 0),
    SPAN_ATOM("m", method, 0),
    SPAN_ATOM("U", path, ACCESS_LOG_NEEDS_PATH),
    SPAN_ATOM("q", query, 0),
    SPAN_ATOM("H", protocol, 0),
    SPAN_ATOM("f", referer, 0),
    SPAN_ATOM("a", user_agent, 0),
#undef SPAN_ATOM
    {"h", ATOM_REMOTE_ADDR, false, 0, 0},
    {"l", ATOM_UNKNOWN, false, 0, 0}, /* the identity of RFC 1413, which nobody asks for */
    {"u", ATOM_USER, false, ACCESS_LOG_NEEDS_USER, 0},
    {"r", ATOM_REQUEST, false, 0, 0},
    {"s", ATOM_STATUS, true, 0, 0},
    {"b", ATOM_BODY_BYTES, true, 0, 0},
    {"B", ATOM_BODY_BYTES, true, 0, 0},
    {"T", ATOM_SECONDS, true, 0, 0},
    {"M", ATOM_MS, true, 0, 0},
    {"D", ATOM_US, true, 0, 0},
    {"L", ATOM_DECIMAL_SECONDS, false, 0, 0},
    {"Q", ATOM_QUEUE_US, true, 0, 0},
    {"p", ATOM_PID, false, 0, 0},
};

static const struct atom_info UNKNOWN_ATOM = {"", ATOM_UNKNOWN, false, 0, 0};

/* Atoms {name}i, {name}o and {key}e, by their last letter. */
static const struct atom_info NAMED_ATOMS[] = {
    {"i", ATOM_REQUEST_HEADER, false, ACCESS_LOG_NEEDS_REQUEST_HEADER, 0},
    {"o", ATOM_RESPONSE_HEADER, false, ACCESS_LOG_NEEDS_RESPONSE_HEADER, 0},
    {"e", ATOM_ENVIRON, true, ACCESS_LOG_NEEDS_ENVIRON, 0},
};

struct compiler {
    struct access_log_format *format;
    char *p;     /* what is still to be read */
    char *start; /* the percent sign of the current atom */
    char *error; /* owned; NULL: none */
};

static const struct atom_info *
find_atom(struct span key)
{
    if (key.n > 2 && key.p[0] == '{' && key.p[key.n - 2] == '}') {
        char kind = (char)ascii_lower((unsigned char)key.p[key.n - 1]);
        for (size_t i = 0; i < ARRAY_LEN(NAMED_ATOMS); i++) {
            if (NAMED_ATOMS[i].name[0] == kind) {
                return &NAMED_ATOMS[i];
            }
        }
        return &UNKNOWN_ATOM;
    }
    for (size_t i = 0; i < ARRAY_LEN(ATOMS); i++) {
        if (span_eq(key, span_str(ATOMS[i].name))) {
            return &ATOMS[i];
        }
    }
    return &UNKNOWN_ATOM;
}

static int
fail(struct compiler *c, const char *what)
{
    int shown = (int)MIN_OF(strlen(c->start), (size_t)(c->p - c->start) + 1);
    c->error = mem_printf("Invalid access_log_format: '%.*s' at position %zu: %s", shown, c->start,
                          (size_t)(c->start - c->format->text) + 1, what);
    return -EINVAL;
}

/* The key between parentheses, which may contain pairs of them, as Python has it. */
static int
parse_key(struct compiler *c, struct span *ret_key)
{
    char *key = c->p + 1;
    int depth = 0;
    do {
        depth += (*c->p == '(') - (*c->p == ')');
        if (*c->p == '\0') {
            return fail(c, "the parenthesis is not closed");
        }
        c->p++;
    } while (depth > 0);
    *ret_key = span_of(key, (size_t)(c->p - 1 - key));
    return 0;
}

static uint8_t
parse_flags(struct compiler *c)
{
    static const char letters[] = "#0- +"; /* in the order of enum access_log_flag */
    uint8_t flags = 0;
    const char *found;
    while (*c->p != '\0' && (found = strchr(letters, *c->p)) != NULL) {
        flags |= (uint8_t)(1 << (found - letters));
        c->p++;
    }
    return flags;
}

static int
parse_number(struct compiler *c, size_t *ret_number)
{
    size_t number = 0;
    if (*c->p == '*') {
        return fail(c, "a width or precision has to be written out");
    }
    for (; *c->p >= '0' && *c->p <= '9'; c->p++) {
        number = number * 10 + (size_t)(*c->p - '0');
        if (number > ACCESS_LOG_WIDTH_MAX) {
            return fail(c, "a width or precision is at most " STRINGIFY(1024));
        }
    }
    *ret_number = number;
    return 0;
}

/* Sets op->type from the letter at the end. 0, or an error. */
static int
parse_type(struct compiler *c, struct access_log_op *op, bool number)
{
    char letter = *c->p;
    if (letter == '\0') {
        return fail(c, "the type is missing, as in %(h)s");
    }
    if (!strchr("sdiuxXofF", letter)) {
        return fail(c, "the type is none of s, d, i, u, x, X, o, f and F");
    }
    if (letter != 's' && !number) {
        return fail(c, "this type needs a number, and the atom is text");
    }
    c->p++;
    op->type = letter;
    if (letter == 'i' || letter == 'u') {
        op->type = 'd';
    } else if (letter == 'F') {
        op->type = 'f';
    }
    return 0;
}

static struct access_log_op *
add_op(struct access_log_format *format, enum access_log_atom atom, struct span text)
{
    struct access_log_op *op = &format->ops[format->n_ops++];
    *op = (struct access_log_op){
        .atom = (uint8_t)atom, .text = text, .precision = ACCESS_LOG_NO_PRECISION};
    return op;
}

static void
add_atom(struct compiler *c, const struct access_log_op *spec, const struct atom_info *info,
         struct span key)
{
    bool named = key.n > 2 && key.p[0] == '{';
    struct span name = named ? span_of(key.p + 1, key.n - 3) : key;
    struct access_log_op *op = add_op(c->format, info->atom, name);
    op->flags = spec->flags;
    op->type = spec->type;
    op->width = spec->width;
    op->precision = spec->precision;
    op->plain = op->type == 's' && op->width == 0 && op->precision == ACCESS_LOG_NO_PRECISION;
    op->span = info->span;
    c->format->needs |= info->needs;
    if (named && info->atom != ATOM_ENVIRON) {
        for (char *p = c->format->text + (name.p - c->format->text); p < name.p + name.n; p++) {
            *p = (char)ascii_lower((unsigned char)*p);
        }
    }
}

/* From the percent sign to the type. */
static int
parse_atom(struct compiler *c)
{
    struct access_log_op spec = {.precision = ACCESS_LOG_NO_PRECISION};
    struct span key = {NULL, 0};
    int rc = 0;
    c->start = c->p++;
    if (*c->p == '%') {
        add_op(c->format, ATOM_LITERAL, span_of(c->p++, 1));
        return 0;
    }
    if (*c->p == '(') {
        rc = parse_key(c, &key);
    }
    if (rc == 0) {
        spec.flags = parse_flags(c);
        rc = parse_number(c, &spec.width);
    }
    if (rc == 0 && *c->p == '.') {
        c->p++;
        rc = parse_number(c, &spec.precision);
    }
    if (rc < 0) {
        return rc;
    }
    if (*c->p != '\0' && strchr("hlL", *c->p)) {
        c->p++; /* C's length modifiers mean nothing to Python */
    }
    if (!key.p) {
        return fail(c, "an atom has a name, as in %(h)s, and a percent sign is %%");
    }
    const struct atom_info *info = find_atom(key);
    rc = parse_type(c, &spec, info->number);
    if (rc == 0) {
        add_atom(c, &spec, info, key);
    }
    return rc;
}

static int
parse_format(struct compiler *c)
{
    while (*c->p != '\0') {
        size_t literal = strcspn(c->p, "%");
        if (literal > 0) {
            add_op(c->format, ATOM_LITERAL, span_of(c->p, literal));
            c->p += literal;
            continue;
        }
        int rc = parse_atom(c);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* Literals and atoms of a text: at most one of each per percent sign, and a literal before. */
static size_t
count_ops(const char *text)
{
    size_t count = 2; /* and the line end */
    for (; *text != '\0'; text++) {
        count += *text == '%' ? 2 : 0;
    }
    return count;
}

static struct access_log_format *
json_format_new(void)
{
    struct access_log_format *format = mem_zalloc(sizeof(*format));
    format->needs = ACCESS_LOG_NEEDS_USER | ACCESS_LOG_NEEDS_PATH;
    format->json = true;
    return format;
}

int
access_log_compile(const char *format, struct access_log_format **ret, char **ret_error)
{
    if (strcmp(format, "json") == 0) {
        *ret = json_format_new();
        return 0;
    }
    struct access_log_format *compiled = mem_zalloc(sizeof(*compiled));
    compiled->text = mem_strdup(format);
    compiled->ops = mem_array(count_ops(format), sizeof(*compiled->ops));
    struct compiler c = {.format = compiled, .p = compiled->text, .start = compiled->text};
    int rc = parse_format(&c);
    if (rc < 0) {
        access_log_format_free(compiled);
        *ret_error = c.error;
        return rc;
    }
    add_op(compiled, ATOM_LITERAL, SPAN("\n"));
    *ret = compiled;
    return 0;
}

void
access_log_format_free(struct access_log_format *format)
{
    if (format) {
        free(format->ops);
        free(format->text);
        free(format);
    }
}

unsigned
access_log_needs(const struct access_log_format *format)
{
    return format->needs;
}
