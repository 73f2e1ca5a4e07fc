/* What the parts of why_reason.h share. Pure. */
#ifndef ENGINE_WHY_INTERNAL_H
#define ENGINE_WHY_INTERNAL_H

#include <jansson.h>

/* What is known, and the operation that is asked about. */
struct case_file {
    const json_t *queue, *lane, *ledger, *processors;
    double at_ms;
    const char *id;
    const json_t *seen; /* of the operation: by the queue, NULL where it does not have it */
    const json_t *row;  /* in the ledger, or NULL */
};

/* An answer: of the operation, what is known whatever the reason is; takes the texts. */
json_t *why_say(const struct case_file *file, const char *state, const char *reason, json_t *detail,
                json_t *release);
/* With one member more, where the object has it; and with a number. Return the answer. */
json_t *why_with(json_t *answer, const char *name, const json_t *object, const char *member);
json_t *why_with_number(json_t *answer, const char *name, double number);

enum { WHEN_SIZE = 64 };

/* "2026-11-21T22:00:05Z, in 12 s". Returns `text`. */
const char *why_when(const struct case_file *file, double ms, char text[WHEN_SIZE]);

/* By the state of its lane: one that a processor has in hand with it; the first of one that waits,
 * is halted, is ready and paused (by this control), or is ready and not. */
json_t *why_claimed(const struct case_file *file);
json_t *why_waiting(const struct case_file *file);
json_t *why_halted(const struct case_file *file);
json_t *why_paused(const struct case_file *file, const char *key);
json_t *why_ready(const struct case_file *file);

#endif
