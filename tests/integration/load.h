/* A load for the runner: lanes of operations whose payload says how they end, by way of the real
 * run queue. What Redis would do with a settlement is done here: a lane that waits comes again,
 * with its next attempt.
 *
 * Payloads are {"how": "…"}; ops are
 *   set     has an apply_many         single  has none
 *   never   is bundled with nobody    look    reads only
 *   pure    has no effects
 * and `how` is ok; invalid (its check refuses it); refuse; late (a statement that it has only sent
 * fails); fault, for good; flaky (fails in its first attempt); many (fails in apply_many alone);
 * slow; terminate (its session, the first time); write (which `look` may not); stop (all shall
 * end); big (a result of 2000 bytes); follow (enqueues three operations of the user next-USER), and
 * follow_… (badly, one too many, with the id of another, or no id). */
#ifndef LOAD_H
#define LOAD_H

#include "scene.h"

#include "engine/board.h"

enum { LOAD_LANES_MAX = 140, LOAD_DEPTH_MAX = 100 };

/* What the handlers have seen since load_set_up. */
struct load_seen {
    int single, set; /* calls of apply and apply_many of ours */
    int largest;     /* operations of an apply_many */
    int executions;  /* of the runner */
};
extern struct load_seen load_seen;

/* Each effect enqueues an operation `next` of the user next-USER; load_set_up takes it back. */
extern bool load_follows;

/* As many of them as there are effects, and in their order. */
void load_assert_followed(void);

/* cmocka's fixtures: those of a scene, with the tables works.effects (seq, lane, id, op, how, tx).
 * The runner bundles up to 128 operations, and is in no hurry. */
int load_open(void **state);
int load_open_unprepared(void **state);
int load_close(void **state);
int load_set_up(void **state);
int load_tear_down(void **state);

/* With other options: a new runner. */
void load_configure(int bundle_max, int64_t bundle_us);

/* Lets the runner see that operations are quick, so that it takes all that there are. */
void load_warm_up(void);

/* An empty lane; the load owns it. */
struct claim *load_lane(const char *user);

/* Appends an operation; returns its id. With _journaled, by heddle.submit. */
const char *load_add(struct claim *claim, const char *op, const char *how);
const char *load_add_journaled(struct claim *claim, const char *op, const char *how);
const char *load_add_as(struct claim *claim, const char *id, const char *op, const char *thread,
                        const char *payload);

/* Executes the lanes until none has anything left: all of them are in the queue at first. Lanes
 * that were paused, halted, or found to have a gap before their end stay as they are. The handlers
 * check that the supervisor's board tells the truth of them. */
void load_run(void);

/* Pushes them: the run queue looks at what is asked of them, once. load_run does it too. */
void load_push(void);

/* Pushes them and has the runner execute once what a worker would take. */
void load_step(void);

/* As load_run, by another processor: what was left, for whatever reason, comes again; no attempt is
 * charged for that. */
void load_resume(void);

/* Lanes that have something left. */
int load_left(void);

/* What the supervisor would see. */
const struct board *load_board(void);

/* What became of the operation, as "done" or "waits"; and the result that clients see. */
const char *load_end(const char *id);
const char *load_result(const char *id);
struct claimed_operation *load_operation(const char *id);

/* How the lane was last settled. */
enum disposition load_disposition(const struct claim *claim);

/* "state attempt", as the ledger has it; "" where it has no row. */
const char *load_ledger(const char *id);

/* Transactions that have had effects, and the most operations with one in one of them. */
const char *load_transactions(void);
const char *load_deepest(void);

/* Operations of the lane that have had an effect, in the order of these: their `how`s. */
const char *load_effects(const char *user);

#endif
