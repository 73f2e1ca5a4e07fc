/* Operations in the ledger as the tests of ends drive them: submitted in SQL, entered, charged and
 * ended as a processor does, by one session. */
#ifndef CASE_H
#define CASE_H

#include "scene.h"

#include "ledger/ledger.h"

#define FIRST SCENE_ID(1)
#define SECOND SCENE_ID(2)
#define THIRD SCENE_ID(3)
#define NOBODY SCENE_ID(9)

/* A cmocka fixture: scene_set_up, with an empty journal. */
int case_set_up(void **state);

void case_submit(const char *id, const char *user);
/* FIRST, SECOND, THIRD, of ann's. */
void case_submit_three(void);

/* Of heddle.status. */
const char *case_state(const char *id);

struct heddle_operation case_operation(const char *id, int tried);

/* Entering fails with the SQLSTATE; NULL: it does not. Nothing is left of it. */
void case_assert_enters(const char *id, int tried, const char *decision, const char *sqlstate);

/* The attempt failed, and the operation goes on as `state`; each number is a claim of its own. */
heddle_status case_charge(const char *id, int tried, const char *state);
heddle_status case_charge_by(const struct ledger_attempt *by, const char *id, int tried,
                             const char *state);

void case_finish(const char *id, enum heddle_end end);

/* Numbers of the attempts that failed. */
void case_assert_attempts(const char *id, const char *expected);

extern const struct ledger_attempt case_attempt;

#endif
