/* The handlers of a load (load.h). */
#ifndef WORKS_H
#define WORKS_H

#include "heddle/operation.h"

extern const struct heddle_handler *const works_handlers[];

#endif
