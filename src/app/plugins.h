/* Shared objects with a team's own operations (heddle/plugin.h). */
#ifndef APP_PLUGINS_H
#define APP_PLUGINS_H

#include "heddle/plugin.h"

/* Loads the object, for the life of the process, and checks that it fits this program.
 * HEDDLE_FATAL: `err` has one line that names it and what is wrong. */
heddle_status plugin_open(const char *path, const struct heddle_plugin **plugin,
                          struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
