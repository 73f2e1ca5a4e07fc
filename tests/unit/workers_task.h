/* A task and a unit of work of paper: what a handler sees, without an engine or
 * a database. Statements are answered as the test tells; nothing is thread-safe. */
#ifndef WORKERS_TASK_H
#define WORKERS_TASK_H

#include "base/array.h"
#include "heddle/operation.h"
#include "heddle/uow.h"

#include <jansson.h>

#define THREAD "75f8796b-bf15-4028-a476-630218bd7b88"
#define OTHER_THREAD "841d83db-d194-4eda-859f-30faf27f9dba"
#define OPERATION "00000000-0000-4000-8000-000000000001"

enum { FIELDS_MAX = 3, PARAMS_MAX = 6, PIECES_MAX = 32 };

/* What the next statement answers: one row of `fields`, or none. */
struct heddle_rows {
    heddle_status status;
    bool is_empty;
    const char *fields[FIELDS_MAX];
};

struct heddle_uow {
    const struct heddle_rows *answers;
    int answer_count, asked;
    const char *last_params[PARAMS_MAX];
};

struct heddle_task {
    struct heddle_operation op;
    json_t *payload;
    struct heddle_uow uow;
    void *prepared;
    const char *result;
    char published[256];
    void *pieces[PIECES_MAX];
    int piece_count;
    struct arena arrays;
    enum heddle_kind refused;
    const char *refusal;
};

/* The registered handler of `op`; the test fails where there is none. */
const struct heddle_handler *handler_of(const char *op);

/* Of the user "ann"; the texts are borrowed. */
void task_init(struct heddle_task *task, const char *thread, const char *payload);
void task_done(struct heddle_task *task);

#endif
