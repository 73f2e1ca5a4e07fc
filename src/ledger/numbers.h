/* The numbers of lanes: whether heads, tails and the operations that have not ended agree, and
 * making them agree. On the caller's thread and link, outside any unit of work.
 *
 * Where they don't, the lane stands still for ever: its next operation finds a gap that nothing
 * fills. Each lane is judged in one statement, so what is under way is no finding. */
#ifndef LEDGER_NUMBERS_H
#define LEDGER_NUMBERS_H

#include "heddle/error.h"

#include <stdbool.h>

struct pg_link;

typedef void numbers_report_function(void *argument, const char *lane, const char *text,
                                     bool is_mended);

struct numbers_check {
    struct pg_link *link;
    bool repairs;
    numbers_report_function *report; /* its texts are borrowed for the call */
    void *argument;
};

/* Looks at every lane that has numbers, page by page. The repair keeps the order of the operations
 * that have not ended and numbers them on from the head; a lane whose lock or tail somebody holds
 * is reported as not mended. */
heddle_status numbers_check(const struct numbers_check *check,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
