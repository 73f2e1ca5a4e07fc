/* A queue in the Redis of the test program, and the hands of its users: submitters, processors,
 * operators, each call as queue/lanes.h and heddle/client.h make it. One thread. */
#ifndef DESK_H
#define DESK_H

#include "heddle/client.h"
#include "link/redis.h"
#include "queue/lanes.h"

#include <stdbool.h>

enum {
    DESK_LEASE_MS = 60000,
    DESK_TTL_MS = 60000,
    DESK_BYTES_MAX = 16 << 20,
    DESK_PAYLOAD_MAX = 1 << 20,
    DESK_TIMEOUT_MS = 5000,
};

struct desk {
    struct redis_link *link;
    struct heddle_client *client;
    struct command command;
    struct heddle_error err;
    uint64_t seq; /* of the last claim */
};

extern struct desk desk;

/* cmocka's fixtures: an empty Redis with the functions and one partition; afterwards every lane is
 * in exactly one state. */
int desk_set_up(void **state);
int desk_tear_down(void **state);

/* Empties Redis and sets it up for this many partitions. */
void desk_install(unsigned partitions);

/* Loads the library with its first `old` replaced by `new_text`: a mutant. */
void desk_load_mutant(const char *old, const char *new_text);

/* A rule of the library, the same broken, and an experiment that holds with the one alone. */
struct desk_mutant {
    const char *old, *broken;
    bool (*holds)(void);
};

/* The test fails where an experiment does not hold, or holds for its mutant. Leaves the library. */
void desk_try_mutants(const struct desk_mutant *mutants, size_t count);

/* A command as it is written, at most 20 words; the test fails where it does. Freed by the caller
 * (AUTO_REPLY). */
struct redis_reply *desk_call(const char *command, ...) __attribute__((sentinel));
int64_t desk_number(const char *command, ...) __attribute__((sentinel));

/* The same for a command that must be refused, kind invalid, with `reason` in its text. */
void desk_refused(const char *reason, const char *command, ...) __attribute__((sentinel));

/* Submits; the receipt's id, which lives until the 16th call after this one. */
const char *desk_submit(const char *user, const char *payload);
struct heddle_receipt desk_submit_as(const struct heddle_submission *submission);

/* A claim by this processor of partition 0: of up to `lanes` lanes, `operations` each. */
struct lanes_answer desk_claim(const char *processor, int lanes, int operations);
struct lanes_answer desk_claim_by(unsigned partition, const struct lanes_request *request);
struct lanes_request desk_request(const char *processor, int lanes, int operations);

/* The only claim of an answer, NULL where it has none. The caller frees it. */
struct claim *desk_only(struct lanes_answer *answer);
struct claim *desk_take(const char *processor, int operations);
void desk_drop(struct lanes_answer *answer);

/* Settles the claim's operations [first, first + count) as done. */
void desk_settle(const char *processor, struct claim *claim, size_t first, size_t count,
                 enum disposition disposition);
/* The same with everything said; `late` is called for results that somebody wants. */
void desk_settle_as(const char *processor, const struct settlement *settlements,
                    lanes_wanted_function *late, void *argument);
/* Marks operations as ended, with a result {"n":index}. */
void desk_end(struct claim *claim, size_t first, size_t count, bool sends_result);

/* Says that the processor lives, for this long; returns how many dead ones were found. */
int desk_beat(const char *processor, int64_t lease_ms);
void desk_release(const char *processor);

/* "3 ready", "2 claimed", "1 waiting", "4 halted", "gone", or all that is true at once. */
const char *desk_state(const char *lane);
void desk_assert_state(const char *lane, const char *expected);

/* Waits for it. */
void desk_state_until(const char *lane, const char *expected);

/* True where every lane is in exactly one state. */
bool desk_is_sound(void);

/* Keys that are there, in alphabetical order with a blank between them, without those of results.
 */
const char *desk_keys(void);

/* Ids of a lane from the first on, as they stand in it, with a blank between them. */
void desk_assert_lane(const char *lane, size_t count, const char *const *ids);

#endif
