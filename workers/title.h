/* Titles by rule: one line that a person can read in a list. Pure. */
#ifndef WORKERS_TITLE_H
#define WORKERS_TITLE_H

#include "heddle/operation.h"

enum {
    TITLE_CHARACTERS_MAX = 50,
    TITLE_SIZE = 4 * TITLE_CHARACTERS_MAX + 1, /* bytes, with the NUL */
};

/* Makes a title of a text in UTF-8: quotes go, apostrophes inside a word stay,
 * white space and control characters become single blanks, and what is longer
 * than TITLE_CHARACTERS_MAX is cut behind a word, or inside the first where it
 * alone is too long. Returns its bytes: 0 where nothing is left. Thread-safe. */
size_t title_make(struct heddle_text text, char title[TITLE_SIZE]);

#endif
