/* A chat database in which faults can be ordered, and the actors of the session-safety scenarios:
 * a session with its unit of work, and a runner with the operations that ship.
 *
 * Faults happen in triggers of chat.threads: at each changing statement, or at COMMIT. */
#ifndef SCENE_H
#define SCENE_H

#include "fixture.h"
#include "runs.h"

#include "ledger/uow.h"
#include "workers/threads.h"

#define SCENE_THREAD "75f8796b-bf15-4028-a476-630218bd7b88"
#define SCENE_ID(n) "00000000-0000-4000-8000-00000000000" #n

struct scene {
    bool with_prepared_statements;
    struct pg_link *a, *b; /* of application "unit of work" */
    struct runs runs;      /* of application "heddle worker" */
    struct heddle_error err;
};

extern struct scene scene;
extern const struct thread_key scene_key;

/* cmocka's fixtures. Of the group: one with prepared statements, one without. */
int scene_open_prepared(void **state);
int scene_open_unprepared(void **state);
int scene_close(void **state);
/* Of a test: a thread 'before' of ann's with one message, no fault. Afterwards nothing may be left:
 * no open transaction, no lock, no session but idle ones. */
int scene_set_up(void **state);
int scene_tear_down(void **state);

/* Orders a fault: `where` is "statement" or "commit"; `what` is an SQLSTATE, "terminate", or a
 * time in seconds to sleep for. scene_mend takes it back. */
void scene_break(const char *where, const char *what);
void scene_mend(void);

/* Holds, in a session of its own, what the statement locks, until scene_let_go. */
void scene_hold(const char *sql);
void scene_let_go(void);

/* begin, the lane's lock, an update of the thread's title to 'after'. */
heddle_status scene_begin_update(struct heddle_uow *uow, struct pg_link *link);

/* The same with its end, as the runner ends it. */
heddle_status scene_update(struct pg_link *link);

/* Runs one operation of ann's on her thread; the claim is the caller's. */
struct claim *scene_run(const char *id, const char *op, const char *thread, const char *payload,
                        enum disposition *disposition);

/* What the second connection sees. */
void scene_assert_title(const char *title);
void scene_assert_ledger(const char *id, const char *expected_state);
void scene_assert_none_in_transaction(void);

#endif
