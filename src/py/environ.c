/* SPDX-License-Identifier: MIT */
#include "py/environ.h"

#include "base/mem.h"
#include "http/uri.h"
#include "py/py_compat.h"
#include "py/request_timeout.h"
#include "py/wsgi.h"

#include <string.h>

enum { PATH_STACK_BYTES = 1024 };

static const char *const method_names[ENVIRON_METHODS] = {
    [HTTP_METHOD_GET] = "GET",         [HTTP_METHOD_HEAD] = "HEAD",
    [HTTP_METHOD_POST] = "POST",       [HTTP_METHOD_PUT] = "PUT",
    [HTTP_METHOD_DELETE] = "DELETE",   [HTTP_METHOD_PATCH] = "PATCH",
    [HTTP_METHOD_OPTIONS] = "OPTIONS", [HTTP_METHOD_CONNECT] = "CONNECT",
    [HTTP_METHOD_TRACE] = "TRACE",
};

static const char *const key_texts[ENVIRON_KEY_COUNT] = {
#define ENVIRON_KEY_(id, text) [ENVIRON_##id] = (text),
    ENVIRON_KEYS(ENVIRON_KEY_)
#undef ENVIRON_KEY_
};

/* Bytes of the wire as WSGI wants them: each byte a character (PEP 3333, "Unicode Issues"). */
static PyObject *
text_from(struct span text)
{
    return PyUnicode_DecodeLatin1(text.n > 0 ? text.p : "", (Py_ssize_t)text.n, NULL);
}

/* Stores a new reference and drops it; `value` may be NULL with an exception. */
static int
set_new(PyObject *dict, PyObject *key, PyObject *value)
{
    if (!value) {
        return -1;
    }
    int r = PyDict_SetItem(dict, key, value);
    Py_DECREF(value);
    return r;
}

static int
set_text(PyObject *dict, PyObject *key, struct span text)
{
    return set_new(dict, key, text_from(text));
}

/* --- the factory --- */

static int
intern(PyObject **slot, const char *text)
{
    *slot = PyUnicode_InternFromString(text);
    return *slot ? 0 : -1;
}

static int
strings_init(struct environ_factory *factory)
{
    for (size_t i = 0; i < ENVIRON_KEY_COUNT; i++) {
        if (intern(&factory->keys[i], key_texts[i]) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < ENVIRON_METHODS; i++) {
        if (method_names[i] && intern(&factory->methods[i], method_names[i]) < 0) {
            return -1;
        }
    }
    for (unsigned id = HTTP_HEADER_UNKNOWN + 1; id < HTTP_HEADER_COUNT; id++) {
        if (intern(&factory->headers[id], http_header_info((enum http_header)id)->key.p) < 0) {
            return -1;
        }
    }
    if (intern(&factory->empty, "") < 0 || intern(&factory->http, "http") < 0 ||
        intern(&factory->https, "https") < 0 || intern(&factory->http_1_0, "HTTP/1.0") < 0 ||
        intern(&factory->http_1_1, "HTTP/1.1") < 0) {
        return -1;
    }
    return 0;
}

/* A new dict with every key that all requests of the listener have; what a request overwrites has
 * its most frequent value, or none that means anything. */
static PyObject *
template_new(const struct environ_factory *factory, const struct wsgi_options *options,
             const struct wsgi_listener *listener, PyObject *errors, PyObject *file_wrapper)
{
    PyObject *const *keys = factory->keys;
    PyObject *dict = PyDict_New();

    if (!dict || PyDict_SetItem(dict, keys[ENVIRON_ERRORS], errors) < 0 ||
        set_new(dict, keys[ENVIRON_VERSION], Py_BuildValue("(ii)", 1, 0)) < 0 ||
        set_new(dict, keys[ENVIRON_MULTITHREAD], PyBool_FromLong(options->multithread)) < 0 ||
        set_new(dict, keys[ENVIRON_MULTIPROCESS], PyBool_FromLong(options->multiprocess)) < 0 ||
        PyDict_SetItem(dict, keys[ENVIRON_RUN_ONCE], Py_False) < 0 ||
        PyDict_SetItem(dict, keys[ENVIRON_FILE_WRAPPER], file_wrapper) < 0 ||
        PyDict_SetItem(dict, keys[ENVIRON_INPUT_TERMINATED], Py_True) < 0 ||
        set_text(dict, keys[ENVIRON_SERVER_SOFTWARE], span_str(options->server_software)) < 0 ||
        PyDict_SetItem(dict, keys[ENVIRON_INPUT], Py_None) < 0 ||
        PyDict_SetItem(dict, keys[ENVIRON_EARLY_HINTS], Py_None) < 0 ||
        PyDict_SetItem(dict, keys[ENVIRON_SOCKET], Py_None) < 0 ||
        set_new(dict, keys[ENVIRON_EXTEND_DEADLINE], extend_nothing_new()) < 0 ||
        PyDict_SetItem(dict, keys[ENVIRON_REQUEST_METHOD], factory->methods[HTTP_METHOD_GET]) < 0 ||
        PyDict_SetItem(dict, keys[ENVIRON_QUERY_STRING], factory->empty) < 0 ||
        PyDict_SetItem(dict, keys[ENVIRON_RAW_URI], factory->empty) < 0 ||
        PyDict_SetItem(dict, keys[ENVIRON_SERVER_PROTOCOL], factory->http_1_1) < 0 ||
        PyDict_SetItem(dict, keys[ENVIRON_URL_SCHEME], factory->http) < 0 ||
        PyDict_SetItem(dict, keys[ENVIRON_REMOTE_ADDR], factory->empty) < 0 ||
        (!listener->is_unix &&
         PyDict_SetItem(dict, keys[ENVIRON_REMOTE_PORT], factory->empty) < 0) ||
        set_text(dict, keys[ENVIRON_SERVER_NAME], span_str(listener->server_name)) < 0 ||
        set_text(dict, keys[ENVIRON_SERVER_PORT],
                 span_str(listener->is_unix ? "" : listener->server_port)) < 0 ||
        PyDict_SetItem(dict, keys[ENVIRON_PATH_INFO], factory->empty) < 0 ||
        PyDict_SetItem(dict, keys[ENVIRON_SCRIPT_NAME], factory->empty) < 0) {
        Py_CLEAR(dict);
    }
    return dict;
}

int
environ_factory_init(struct environ_factory *factory, const struct wsgi_options *options,
                     PyObject *errors, PyObject *file_wrapper)
{
    memset(factory, 0, sizeof(*factory));
    factory->names = mem_array(ENVIRON_NAMES, sizeof(factory->names[0]));
    factory->templates = mem_array(options->n_listeners, sizeof(factory->templates[0]));
    if (strings_init(factory) < 0) {
        return -1;
    }
    if (options->script_name && options->script_name[0]) {
        factory->script_name = text_from(span_str(options->script_name));
        if (!factory->script_name) {
            return -1;
        }
    }
    for (unsigned i = 0; i < options->n_listeners; i++) {
        struct environ_template *template = &factory->templates[factory->n_templates++];
        template->is_unix = options->listeners[i].is_unix;
        template->dict =
            template_new(factory, options, &options->listeners[i], errors, file_wrapper);
        if (!template->dict) {
            return -1;
        }
    }
    return 0;
}

void
environ_factory_fini(struct environ_factory *factory)
{
    for (unsigned i = 0; i < factory->n_templates; i++) {
        Py_CLEAR(factory->templates[i].dict);
    }
    for (size_t i = 0; factory->names && i < ENVIRON_NAMES; i++) {
        Py_CLEAR(factory->names[i].key);
    }
    for (size_t i = 0; i < ENVIRON_KEY_COUNT; i++) {
        Py_CLEAR(factory->keys[i]);
    }
    for (size_t i = 0; i < ENVIRON_METHODS; i++) {
        Py_CLEAR(factory->methods[i]);
    }
    for (size_t i = 0; i < HTTP_HEADER_COUNT; i++) {
        Py_CLEAR(factory->headers[i]);
    }
    Py_CLEAR(factory->script_name);
    Py_CLEAR(factory->empty);
    Py_CLEAR(factory->http);
    Py_CLEAR(factory->https);
    Py_CLEAR(factory->http_1_0);
    Py_CLEAR(factory->http_1_1);
    Py_CLEAR(factory->peer);
    free(factory->names);
    free(factory->templates);
    memset(factory, 0, sizeof(*factory));
}

/* --- header names --- */

/* FNV-1a: short keys, and nothing is lost when a peer makes them collide. */
static uint32_t
name_hash(struct span name)
{
    uint32_t hash = 2166136261U;

    for (size_t i = 0; i < name.n; i++) {
        hash = (hash ^ (unsigned char)name.p[i]) * 16777619U;
    }
    return hash ^ hash >> 16;
}

/* Upper case, and underscores for hyphens. */
static unsigned char
key_char(unsigned char c)
{
    if (c == '-') {
        return '_';
    }
    return (unsigned char)(c - 'a') < 26 ? (unsigned char)(c - 32) : c;
}

/* "HTTP_" and the name, as CGI writes it. */
static PyObject *
key_from(struct span name)
{
    static const char prefix[] = {'H', 'T', 'T', 'P', '_'};
    PyObject *key = PyUnicode_New((Py_ssize_t)(sizeof(prefix) + name.n), 127);
    if (!key) {
        return NULL;
    }
    Py_UCS1 *out = PyUnicode_1BYTE_DATA(key);
    memcpy(out, prefix, sizeof(prefix));
    out += sizeof(prefix);
    for (size_t i = 0; i < name.n; i++) {
        out[i] = key_char((unsigned char)name.p[i]);
    }
    return key;
}

/* The key of a name that header.def does not have; a new reference. Names are tokens, so ASCII. */
static PyObject *
name_key(struct environ_factory *factory, struct span name)
{
    if (name.n > ENVIRON_NAME_BYTES) {
        return key_from(name);
    }
    struct environ_name *slot = &factory->names[name_hash(name) & (ENVIRON_NAMES - 1)];
    if (slot->key && slot->n == name.n && memcmp(slot->name, name.p, name.n) == 0) {
        return Py_NewRef(slot->key);
    }
    PyObject *key = key_from(name);
    if (key) {
        slot->n = (uint8_t)name.n;
        memcpy(slot->name, name.p, name.n);
        Py_XSETREF(slot->key, Py_NewRef(key));
    }
    return key;
}

/* Repeated fields become one value. */
static int
set_joined(PyObject *env, PyObject *key, struct span text)
{
    PyObject *before;
    int r = py_dict_get(env, key, &before);

    if (r <= 0) {
        return r < 0 ? -1 : set_text(env, key, text);
    }
    PyObject *value = text_from(text);
    r = value ? set_new(env, key, PyUnicode_FromFormat("%U,%U", before, value)) : -1;
    Py_XDECREF(value);
    Py_DECREF(before);
    return r;
}

static int
set_unknown(struct environ_factory *factory, PyObject *env, struct span name, struct span value)
{
    PyObject *key = name_key(factory, name);
    int r = key ? set_joined(env, key, value) : -1;

    Py_XDECREF(key);
    return r;
}

static int
set_headers(struct environ_factory *factory, PyObject *env, const struct request *request)
{
    const struct h1_head *head = &request->head;
    uint64_t seen[2] = {0, 0};

    for (uint32_t i = 0; i < head->count; i++) {
        const struct h1_header *header = &head->items[i];
        struct span value = h1_header_value(request->base, header);
        uint64_t bit = UINT64_C(1) << (header->id & 63);
        uint64_t *word = &seen[header->id >> 6];
        PyObject *key = factory->headers[header->id];
        int r;

        if (header->id == HTTP_HEADER_UNKNOWN) {
            r = set_unknown(factory, env, h1_header_name(request->base, header), value);
        } else if (*word & bit) {
            r = set_joined(env, key, value);
        } else {
            r = set_text(env, key, value);
        }
        if (r < 0) {
            return -1;
        }
        *word |= bit;
    }
    return 0;
}

/* --- the request line --- */

static PyObject *
path_decoded(struct span path)
{
    char stack[PATH_STACK_BYTES];
    char *bytes = path.n <= sizeof(stack) ? stack : mem_alloc(path.n);
    PyObject *text = text_from(span_of(bytes, uri_unquote(path, bytes)));

    if (bytes != stack) {
        free(bytes);
    }
    return text;
}

static int
set_target(struct environ_factory *factory, PyObject *env, const struct request *request,
           PyObject *script_name)
{
    const struct h1_head *head = &request->head;
    struct span target = h1_part_span(request->base, head->target);
    struct span path = h1_part_span(request->base, head->path);
    struct span query = h1_part_span(request->base, head->query);
    size_t skip = (size_t)PyUnicode_GET_LENGTH(script_name);
    PyObject *raw = text_from(target);

    if (!raw || PyDict_SetItem(env, factory->keys[ENVIRON_RAW_URI], raw) < 0) {
        goto fail;
    }
    path.p += skip;
    path.n -= skip;
    PyObject *info = Py_NewRef(raw);
    if (path.n != target.n || memchr(path.p, '%', path.n)) {
        Py_SETREF(info, path_decoded(path));
    }
    if (set_new(env, factory->keys[ENVIRON_PATH_INFO], info) < 0 ||
        (query.n > 0 && set_text(env, factory->keys[ENVIRON_QUERY_STRING], query) < 0) ||
        (skip > 0 && PyDict_SetItem(env, factory->keys[ENVIRON_SCRIPT_NAME], script_name) < 0)) {
        goto fail;
    }
    Py_DECREF(raw);
    return 0;
fail:
    Py_XDECREF(raw);
    return -1;
}

/* The templates say GET, HTTP/1.1 and http. */
static int
set_request_line(struct environ_factory *factory, PyObject *env, const struct request *request)
{
    const struct h1_head *head = &request->head;

    if (head->method_id != HTTP_METHOD_GET) {
        PyObject *method = Py_XNewRef(factory->methods[head->method_id]);
        if (!method) {
            method = text_from(h1_part_span(request->base, head->method));
        }
        if (set_new(env, factory->keys[ENVIRON_REQUEST_METHOD], method) < 0) {
            return -1;
        }
    }
    if (head->version_major != 1 || head->version_minor != 1) {
        PyObject *version =
            head->version_major == 1 && head->version_minor == 0
                ? Py_NewRef(factory->http_1_0)
                : PyUnicode_FromFormat("HTTP/%d.%d", head->version_major, head->version_minor);
        if (set_new(env, factory->keys[ENVIRON_SERVER_PROTOCOL], version) < 0) {
            return -1;
        }
    }
    return request->https ? PyDict_SetItem(env, factory->keys[ENVIRON_URL_SCHEME], factory->https)
                          : 0;
}

/* --- the connection --- */

static bool
same_text(PyObject *str, struct span text)
{
    return (size_t)PyUnicode_GET_LENGTH(str) == text.n &&
           memcmp(PyUnicode_1BYTE_DATA(str), text.p, text.n) == 0;
}

/* REMOTE_ADDR: behind a proxy it is always the same. */
static PyObject *
peer_text(struct environ_factory *factory, struct span peer)
{
    if (factory->peer && same_text(factory->peer, peer)) {
        return Py_NewRef(factory->peer);
    }
    PyObject *text = text_from(peer);
    if (text) {
        Py_XSETREF(factory->peer, Py_NewRef(text));
    }
    return text;
}

static PyObject *
port_text(uint16_t port)
{
    char digits[5];
    size_t at = sizeof(digits);
    unsigned rest = port;

    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    return text_from(span_of(digits + at, sizeof(digits) - at));
}

/* SERVER_NAME and SERVER_PORT of a request through a unix socket: what Host says; an IPv6 address
 * keeps its brackets. */
static int
set_server_from_host(struct environ_factory *factory, PyObject *env, const struct request *request)
{
    uint16_t index = request->head.host;
    if (index == H1_NO_HEADER) {
        return 0;
    }
    struct span host = h1_header_value(request->base, &request->head.items[index]);
    struct span port = request->https ? SPAN("443") : SPAN("80");
    size_t end = 0;
    if (host.n > 0 && host.p[0] == '[') {
        const char *bracket = memchr(host.p, ']', host.n);
        end = bracket ? (size_t)(bracket - host.p) : host.n;
    }
    const char *colon = host.n > end ? memchr(host.p + end, ':', host.n - end) : NULL;
    if (colon) {
        port = span_of(colon + 1, host.n - (size_t)(colon - host.p) - 1);
        host.n = (size_t)(colon - host.p);
    }
    return set_text(env, factory->keys[ENVIRON_SERVER_NAME], host) < 0
               ? -1
               : set_text(env, factory->keys[ENVIRON_SERVER_PORT], port);
}

static int
set_connection(struct environ_factory *factory, PyObject *env, const struct request *request)
{
    if (factory->templates[request_listener(request)].is_unix) {
        return set_server_from_host(factory, env, request);
    }
    PyObject *addr = peer_text(factory, request_peer(request));
    return set_new(env, factory->keys[ENVIRON_REMOTE_ADDR], addr) < 0
               ? -1
               : set_new(env, factory->keys[ENVIRON_REMOTE_PORT],
                         port_text(request_peer_port(request)));
}

/* --- a request --- */

PyObject *
environ_script_name(const struct environ_factory *factory, const struct request *request)
{
    uint16_t index = request->head.script_name;

    if (index != H1_NO_HEADER) {
        return text_from(h1_header_value(request->base, &request->head.items[index]));
    }
    return Py_NewRef(factory->script_name ? factory->script_name : factory->empty);
}

bool
environ_path_is_under(const struct request *request, PyObject *script_name)
{
    struct span path = h1_part_span(request->base, request->head.path);
    size_t n = (size_t)PyUnicode_GET_LENGTH(script_name);

    return n == 0 || (path.n >= n && memcmp(path.p, PyUnicode_1BYTE_DATA(script_name), n) == 0);
}

PyObject *
environ_new(struct environ_factory *factory, const struct request *request, PyObject *script_name,
            const struct environ_objects *objects)
{
    PyObject *env = PyDict_Copy(factory->templates[request_listener(request)].dict);

    if (!env || PyDict_SetItem(env, factory->keys[ENVIRON_INPUT], objects->input) < 0 ||
        PyDict_SetItem(env, factory->keys[ENVIRON_EARLY_HINTS], objects->early_hints) < 0 ||
        PyDict_SetItem(env, factory->keys[ENVIRON_SOCKET], objects->socket) < 0 ||
        (objects->extend_deadline && PyDict_SetItem(env, factory->keys[ENVIRON_EXTEND_DEADLINE],
                                                    objects->extend_deadline) < 0) ||
        set_request_line(factory, env, request) < 0 ||
        set_target(factory, env, request, script_name) < 0 ||
        set_connection(factory, env, request) < 0 || set_headers(factory, env, request) < 0) {
        Py_CLEAR(env);
    }
    return env;
}
