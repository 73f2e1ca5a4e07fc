/* Units of work on the fake Postgres: what the tests of faults do again and again. */
#ifndef FAKE_WORK_H
#define FAKE_WORK_H

#include "postgres.h"
#include "runs.h"

#include "ledger/uow.h"
#include "workers/threads.h"

#define WORK_ID "00000000-0000-4000-8000-000000000001"
#define WORK_THREAD "75f8796b-bf15-4028-a476-630218bd7b88"

/* Kinds of faults, to be tried at each site, with the SQLSTATE that comes with them. */
enum { WORK_FAULTS = 9 };
extern const struct fake_fault work_faults[WORK_FAULTS];

/* Two sessions, fresh for each test, and the error of the last call. */
extern struct pg_link *work_link_a, *work_link_b;
extern struct heddle_error work_err;
extern const struct thread_key work_key;

/* cmocka's fixtures. The second asserts that no result, transaction or connection is left. */
int work_set_up(void **state);
int work_tear_down(void **state);

struct pg_link *work_new_link(bool with_prepared_statements);

/* Steps of a unit of work: one statement of a repository each. */
typedef heddle_status work_step(struct heddle_uow *uow, struct heddle_error *err);
heddle_status work_create(struct heddle_uow *uow, struct heddle_error *err);
heddle_status work_update(struct heddle_uow *uow, struct heddle_error *err);
heddle_status work_archive(struct heddle_uow *uow, struct heddle_error *err);
heddle_status work_list(struct heddle_uow *uow, struct heddle_error *err);

/* begin, lock, the step, and the end, as the runner does it; fills work_err. */
heddle_status work_run(struct pg_link *link, work_step *step);

/* The next statement of this name fails with the SQLSTATE. */
void work_fail_at(const char *statement, const char *sqlstate);

/* Asserts that the next unit of work succeeds: its session was fit, or it took a new one. */
void work_goes_on(struct pg_link *link);

/* One operation through the real runner, with a session of its own. The claim is the caller's. */
struct claim *work_execute(const char *op, const char *thread, const char *payload,
                           enum disposition *disposition);

#endif
