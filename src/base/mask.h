/* What people may see of a text that may hold a secret. Pure; thread-safe. */
#ifndef BASE_MASK_H
#define BASE_MASK_H

#include <stddef.h>

#define MASK_STARS "********"

/* Writes a URL or libpq connection string as one line, its passwords hidden: between the first
 * colon and the last @ of a URL, and behind each `password=`. What stands behind the first one is
 * hidden too where a second may be in it. Returns `buffer`. */
const char *mask_address(const char *text, char *buffer, size_t size);

#endif
