/* Submissions as people hand them in: what may be sent, and the NDJSON form. */
#ifndef APP_SUBMISSION_H
#define APP_SUBMISSION_H

#include "heddle/client.h"
#include "heddle/error.h"

#include <stdint.h>

struct arena;
struct line;
struct ops;

/* What is allowed. */
struct submission_rules {
    int64_t payload_bytes_max;
    struct ops *ops; /* those that are known; borrowed */
};

/* Whether user, op, thread, id and payload are within the limits and the op is
 * known. HEDDLE_REFUSED: `err` has one line that names the member, its value
 * and what is allowed. HEDDLE_RETRY: see ops_check. */
heddle_status submission_check(const struct heddle_submission *submission,
                               const struct submission_rules *rules,
                               struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Reads one NDJSON line and checks it; texts live in the arena. HEDDLE_REFUSED
 * as above. */
heddle_status submission_read(const struct line *line, const struct submission_rules *rules,
                              struct arena *arena, struct heddle_submission *submission,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Reads a line that submission_read has accepted: the payload is not judged once more. */
heddle_status submission_read_again(const struct line *line, const struct submission_rules *rules,
                                    struct arena *arena, struct heddle_submission *submission,
                                    struct heddle_error *err) HEDDLE_MUST_CHECK;

/* What the ids of a batch's lines begin with: the same for the same name, so that a batch that is
 * submitted again repeats nothing. `batch` has 200 bytes at most. */
void submission_batch_id(const char *batch, char id[HEDDLE_ID_SIZE + 1]);

/* The id of a line: ids of a batch rise with the lines, which is what indexes like. */
void submission_line_id(const char *batch_id, uint64_t number, char id[HEDDLE_ID_SIZE + 1]);

#endif
