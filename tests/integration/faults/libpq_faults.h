/* Faults of libpq's calls, with a real Postgres at the other end: the n-th call is the last that
 * its connection lives to see, or the n-th statement fails (`-Wl,--wrap`, of
 * test_bundle_fault_sites). */
#ifndef LIBPQ_FAULTS_H
#define LIBPQ_FAULTS_H

#include <stdbool.h>

enum libpq_fault {
    LIBPQ_NO_FAULT,
    LIBPQ_CUT_BEFORE,      /* the connection breaks before the call */
    LIBPQ_CUT_AFTER,       /* … behind it: Postgres has what was sent, and its answer is lost */
    LIBPQ_STATEMENT_FAILS, /* with 40001; of calls that send a statement */
};

/* From now on; once. */
void libpq_faults_arm(enum libpq_fault fault, int at);

/* No more; true where it has happened. */
bool libpq_faults_disarm(void);

#endif
