/* Lines of a file or of stdin, plain or gzip, one at a time. */
#ifndef APP_LINES_H
#define APP_LINES_H

#include "heddle/error.h"
#include "heddle/operation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lines;

/* `path` "-" is stdin. With `can_rewind` what is no regular file is first copied
 * to a temporary one. HEDDLE_REFUSED: can't be read. */
heddle_status lines_open(const char *path, size_t line_bytes_max, bool can_rewind,
                         struct lines **lines, struct heddle_error *err) HEDDLE_MUST_CHECK;
void lines_close(struct lines *lines);

/* False for a pipe or terminal that was opened without `can_rewind`. */
bool lines_can_rewind(const struct lines *lines);

/* True where they come from the file that `fd` is open on. */
bool lines_are_of(const struct lines *lines, int fd);

/* Back to the first line. */
heddle_status lines_rewind(struct lines *lines, struct heddle_error *err) HEDDLE_MUST_CHECK;

struct line {
    struct heddle_text text; /* without its newline; until the next call */
    uint64_t number;         /* from 1 */
    bool is_cut; /* longer than line_bytes_max: no NUL here, and the rest comes by lines_rest */
};

/* Nothing but blanks. */
bool lines_is_blank(const struct line *line);

/* `*found` is false at the end. HEDDLE_REFUSED: the input is broken. */
heddle_status lines_next(struct lines *lines, struct line *line, bool *found,
                         struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The next piece of a line that was cut; `*found` is false behind the last. */
heddle_status lines_rest(struct lines *lines, struct heddle_text *piece, bool *found,
                         struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
