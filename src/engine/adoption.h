/* Halted lanes that this processor can set going again: their next operation is one that it knows,
 * and another version halted them, or, in a quarantine, they are suspects. Confined to the fetcher.
 */
#ifndef ENGINE_ADOPTION_H
#define ENGINE_ADOPTION_H

#include "queue/lanes.h"

#include <stdbool.h>

struct adoption;
struct handlers;

/* `handlers` are borrowed for its life. */
struct adoption *adoption_new(unsigned partitions, struct handlers *handlers, bool is_quarantine);
void adoption_free(struct adoption *adoption);

/* So many lanes of the partition are halted, whatever for. */
void adoption_expect(struct adoption *adoption, unsigned partition, int64_t halted);

/* True while there may be some in the partition: until all of it has been looked at without any,
 * for the handlers that there are now. */
bool adoption_is_due(struct adoption *adoption, unsigned partition);

/* Claims what it finds on the next page. One round trip; statuses are those of lanes_adopt. */
heddle_status adoption_look(struct adoption *adoption, struct redis_link *link,
                            struct command *command, unsigned partition,
                            const struct lanes_request *request, struct lanes_answer *answer,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
