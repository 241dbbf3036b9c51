/* SPDX-License-Identifier: MIT */
/*
 * What an exception that nobody has handled means for the process, arbiter or worker. Main thread,
 * GIL held.
 */
#ifndef SAOLA_PY_PY_EXIT_H
#define SAOLA_PY_PY_EXIT_H

/* Takes the raised exception and logs it with `text`. Returns `code`; or, of a SystemExit, the code
 * that the interpreter would end with, after it has written to stderr what that would write. */
int py_exit_code(const char *text, int code);

#endif
