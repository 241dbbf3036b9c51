/* SPDX-License-Identifier: MIT */
/*
 * Values of settings between Python and struct config. On the way in a value as it comes from a
 * configuration file or from argparse is described as a struct config_value that borrows from it;
 * on the way out fields and defaults become new Python objects.
 *
 * All functions need the GIL; they fail with -1 or NULL and a Python exception set.
 */
#ifndef SAOLA_PY_PY_CONFIG_VALUE_H
#define SAOLA_PY_PY_CONFIG_VALUE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/macros.h"
#include "config/config.h"

/* A config_value with what it borrows from. */
struct config_incoming {
    struct config_value value;
    PyObject *keep; /* owned list of the objects that hold the bytes */
    const char **items;
    struct config_pair *pairs;
};

/* Describes `value` for the setting. To be ended with _fini(), also on failure. */
int config_incoming_init(struct config_incoming *in, PyObject *value, enum setting_id id) NODISCARD;
void config_incoming_fini(struct config_incoming *in);

/* The value of a setting. None where the field carries an object: that is its holder's to give. */
PyObject *config_field_new(const struct config *cfg, enum setting_id id);
/* A default of the table. */
PyObject *config_initial_new(const struct config_value *value);

#endif
