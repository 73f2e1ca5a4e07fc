/* Lanes as a processor uses them: claim, settle, beat, release.
 *
 * Every call comes as a pair, _send and _receive, so that a thread can pipeline
 * calls on many partitions; answers come in the order of the calls. All of it is
 * confined to the thread that owns the link. Statuses are those of link/redis.h:
 * after HEDDLE_RETRY the link is closed and the answers of calls that were sent
 * are lost: a claim that nobody heard of is freed by lanes_give_back. */
#ifndef QUEUE_LANES_H
#define QUEUE_LANES_H

#include "heddle/error.h"
#include "heddle/operation.h"
#include "queue/claim.h"
#include "queue/command.h"

#include <stdint.h>

struct redis_link;

struct lanes_request {
    const char *incarnation; /* unique to this run of this processor */
    uint64_t seq;            /* never used twice by the incarnation */
    int lanes_max, operations_max;
    int64_t bytes_max;
    int64_t lease_ms;
};

struct lanes_answer {
    struct claim_list claims;
    int64_t next_due_ms; /* until the next waiting lane is due; -1: none */
    int64_t halted;      /* lanes that wait for somebody */
    bool is_exhausted;   /* no ready lane is left; the incarnation is woken when there is one */
};

heddle_status lanes_claim_send(struct redis_link *link, struct command *command, unsigned partition,
                               const struct lanes_request *request,
                               struct heddle_error *err) HEDDLE_MUST_CHECK;
heddle_status lanes_claim_receive(struct redis_link *link, unsigned partition,
                                  const struct lanes_request *request, struct lanes_answer *answer,
                                  struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Claims lanes that are halted for one of `reasons` (NULL-terminated). `cursor` is "0" at first and
 * again when all were seen. One round trip. */
heddle_status lanes_adopt(struct redis_link *link, struct command *command, unsigned partition,
                          const struct lanes_request *request, const char *const *reasons,
                          char cursor[24], struct lanes_answer *answer,
                          struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Why a lane is halted whose first operation has used up its attempts (HEDDLE_ON_FAILURE_HALT). */
#define LANE_HALTED_FAILED "failed"

enum disposition {
    LANE_KEEP,    /* more of the claim comes */
    LANE_RELEASE, /* ready again where it has operations left */
    LANE_WAIT,    /* its next operation failed and comes again in wait_ms */
    LANE_PAUSE,   /* nothing could be tried (an outage): in wait_ms again, no attempt is charged */
    LANE_GAP,  /* the same; the journal knows an operation that comes first, and it is put back */
    LANE_HALT, /* it stops until somebody resolves `reason` */
};

/* A part of a claim that is settled: operations [first, first + count). */
struct settlement {
    struct settlement *next;
    struct claim *claim;
    size_t first, count;
    enum disposition disposition;
    int64_t wait_ms; /* of LANE_WAIT, LANE_PAUSE and LANE_GAP */
    int64_t cost_us; /* measured execution time, for fairness */
    char reason[80]; /* of LANE_HALT: "op NAME" for an unknown op, or LANE_HALTED_FAILED */
};

/* `settlements` is a list of one partition. */
heddle_status lanes_settle_send(struct redis_link *link, struct command *command,
                                unsigned partition, const char *incarnation, int64_t result_ttl_ms,
                                const struct settlement *settlements,
                                struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Logs lanes that were not ours any more. `wanted` is called for each operation whose result
 * somebody asked for after it was claimed; it may use the link. */
typedef void lanes_wanted_function(void *argument, struct heddle_text id);
heddle_status lanes_settle_receive(struct redis_link *link, lanes_wanted_function *wanted,
                                   void *argument, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Delivers a result to whoever asked for it meanwhile. One round trip. */
heddle_status lanes_reply(struct redis_link *link, struct command *command, unsigned partition,
                          int64_t result_ttl_ms, struct heddle_text id, struct heddle_text result,
                          struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Says in every partition that the incarnation lives, and frees lanes of those that don't;
 * `*freed` counts processors that were found dead. */
heddle_status lanes_beat(struct redis_link *link, struct command *command, unsigned partitions,
                         const char *incarnation, int64_t lease_ms, int *freed,
                         struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Frees every lane of the incarnation in every partition, and its beat. */
heddle_status lanes_release(struct redis_link *link, struct command *command, unsigned partitions,
                            const char *incarnation, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Says in every partition that the incarnation claims nothing for now: others are woken. */
heddle_status lanes_decline(struct redis_link *link, struct command *command, unsigned partitions,
                            const char *incarnation, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The same as lanes_release for a processor that is dead, whoever asks; the partitions are read
 * from Redis. */
heddle_status lanes_release_everywhere(struct redis_link *link, struct command *command,
                                       const char *incarnation,
                                       struct heddle_error *err) HEDDLE_MUST_CHECK;

/* A dead processor's lane whose operation may have killed it: halted as a suspect, for a
 * quarantine. With `poison_crashes` > 0 the operation is charged a crash, and given up where it has
 * so many. */
heddle_status lanes_suspect(struct redis_link *link, struct command *command, unsigned partition,
                            const char *incarnation, const char *lane, const char *id,
                            int poison_crashes, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Some of the lanes that Redis believes to be the incarnation's, from `cursor` on ("0" at first,
 * and again when all were seen): those for which `is_unknown` says true are freed, if they still
 * are of that claim. Two round trips at most, and one where there is nothing to free. */
typedef bool lanes_unknown_function(void *argument, struct heddle_text lane, uint64_t seq);
heddle_status lanes_give_back(struct redis_link *link, struct command *command, unsigned partition,
                              const char *incarnation, char cursor[24],
                              lanes_unknown_function *is_unknown, void *argument,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
