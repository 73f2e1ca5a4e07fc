/* Operations, and the handlers that execute them.
 *
 * A handler has up to four phases; each may be NULL:
 *
 *   check         pure: judges the payload before any I/O;
 *   prepare       under the user's critical section, outside any transaction:
 *                 the only place for slow or outside calls. It may be repeated,
 *                 so what it calls must be harmless or idempotent by id;
 *   apply         inside the unit of work: no commit, no outside call. A unit of work may
 *                 be that of a bundle of operations; where the handler has an
 *                 apply_many, that one applies several of them at once;
 *   after_commit  best effort, after the effects are durable.
 *
 * A worker calls the phases of one operation one after the other; different
 * workers run different operations at once, so a handler keeps no state of its
 * own outside the task. Everything that a phase is given is borrowed for that
 * call, except the task's memory, which lives until after_commit returned. */
#ifndef HEDDLE_OPERATION_H
#define HEDDLE_OPERATION_H

#include "heddle/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEDDLE_ID_SIZE 36 /* characters of a UUID, without the NUL */
#define HEDDLE_USER_SIZE_MAX 256
#define HEDDLE_OP_SIZE_MAX 64
#define HEDDLE_THREAD_SIZE_MAX 64
#define HEDDLE_PAYLOAD_DEPTH_MAX 64
#define HEDDLE_FOLLOW_UPS_MAX 1000            /* of one operation */
#define HEDDLE_FOLLOW_UPS_SIZE_MAX (16 << 20) /* bytes, of their texts together */

struct heddle_submission; /* heddle/client.h */
struct heddle_uow;

/* Bytes that somebody else owns. data[size] is NUL, so data is a C string as
 * well: nothing that Heddle passes on contains a NUL. */
struct heddle_text {
    const char *data;
    size_t size;
};

/* What an operation that failed, and may succeed later, does to the operations behind it. */
enum heddle_on_failure {
    HEDDLE_ON_FAILURE_DEFAULT = 0,
    HEDDLE_ON_FAILURE_BLOCK, /* they wait until it has ended */
    HEDDLE_ON_FAILURE_PARK,  /* it is set aside, they go on, it comes back behind them */
    HEDDLE_ON_FAILURE_HALT,  /* as block; after its last attempt the lane stops until an operator
                                decides */
};

/* How often and how long an operation is tried. A field that is 0 is not said: the submission goes
 * before the handler, and the handler before the settings of the processor. Only failures of the
 * operation are attempts; outages are none. Between attempts passes a random time of up to
 * backoff_ms × 2ⁿ⁻¹, backoff_max_ms at most (exponential backoff with full jitter). */
struct heddle_policy {
    int64_t attempts;                   /* after so many it is given up: 1 to 1000 */
    int64_t backoff_ms, backoff_max_ms; /* 1 to 3600000 */
    int64_t deadline_ms; /* since submission: later it is not tried again; 1 to 2592000000 */
    enum heddle_on_failure on_failure;
};

/* How soon an operation's turn comes, among its user's and among all users' operations. */
enum heddle_priority {
    HEDDLE_PRIORITY_NORMAL = 0,
    HEDDLE_PRIORITY_INTERACTIVE,
    HEDDLE_PRIORITY_BULK,
};

/* When an operation is to be executed, and beside which others. A field that is 0, or empty, is not
 * said. Deadline and expiry count from when the operation may begin: its submission, or where that
 * is later, the time that it asked for. */
struct heddle_flow {
    int64_t delay_ms;   /* it enters its lane so long after its submission: 1 to 31536000000 */
    int64_t at_ms;      /* or then: since the epoch, up to 253402300799999 */
    int64_t expires_ms; /* has it not begun by then, it ends cancelled: 1 to 2592000000 */
    enum heddle_priority priority;
    struct heddle_text batch;      /* what it is counted with: up to 200 bytes of UTF-8 */
    struct heddle_text unique_key; /* one of the user's and op's at a time: up to 256 bytes */
    int64_t unique_ms; /* how long the key counts; 0: until it has ended; 1 to 2592000000 */
    bool replaces;     /* the one that waits with the key gets this payload */
};

struct heddle_operation {
    char id[HEDDLE_ID_SIZE + 1];
    struct heddle_text user;
    struct heddle_text op;
    struct heddle_text thread;   /* empty where the operation has none */
    struct heddle_text payload;  /* a JSON object, checked: syntax, depth, UTF-8, no NUL */
    struct heddle_text trace;    /* W3C traceparent that was submitted with it, or empty */
    int64_t submitted_us;        /* since the epoch, by Redis' clock */
    int attempt;                 /* 1 for the first */
    struct heddle_policy policy; /* what its submission asked for */
    struct heddle_flow flow;     /* likewise; what counts at submission alone is not in it */
};

/* How an operation ended. The letters are those of the queue protocol. */
enum heddle_end {
    HEDDLE_END_NONE = 0, /* it has not */
    HEDDLE_END_DONE = 'd',
    HEDDLE_END_FAILED = 'f', /* refused, with a kind */
    HEDDLE_END_DEAD = 'x',   /* given up, with its last error */
    HEDDLE_END_CANCELLED = 'c',
};

/* "done", "failed", "dead", "cancelled"; static text. */
const char *heddle_end_name(enum heddle_end end);

/* One execution of one operation by one worker. */
struct heddle_task;

/* The operation; borrowed from the task. */
const struct heddle_operation *heddle_task_operation(const struct heddle_task *task);

/* True once the operation shall end early: it has run past its soft deadline, a client wants it not
 * to happen, or the processor ends now. A handler that takes long, in prepare or apply, asks now
 * and then and fails with HEDDLE_RETRY; what follows from it is Heddle's to decide. A statement
 * that the handler waits for is cancelled, with HEDDLE_RETRY as well. Stays true once it is.
 * Thread-safe: a handler's own threads may ask too, while the phase lasts. */
bool heddle_task_is_cancelled(const struct heddle_task *task);

/* `size` bytes that live until after_commit returned; never NULL (a worker
 * that runs out of memory ends its process). */
void *heddle_task_alloc(struct heddle_task *task, size_t size);

/* printf into memory of the task; never NULL. */
char *heddle_task_format(struct heddle_task *task, const char *format, ...) HEDDLE_PRINTF(2, 3);

/* What prepare leaves for apply and after_commit; NULL until set. */
void heddle_task_set_prepared(struct heddle_task *task, void *prepared);
void *heddle_task_prepared(const struct heddle_task *task);

/* For prepare: runs `read` in a short READ ONLY transaction of its own, which
 * has ended when this returns. Returns what `read` returned, or the
 * transaction's own failure; pass any status but HEDDLE_OK on. */
heddle_status heddle_task_read(struct heddle_task *task,
                               heddle_status (*read)(struct heddle_uow *uow, void *argument,
                                                     struct heddle_error *err),
                               void *argument, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* For apply, and for prepare where there is no apply: the operation's result, a JSON value. `json`
 * must live until the unit of work has ended: rows of the unit of work and memory of the task do.
 */
void heddle_task_set_result(struct heddle_task *task, const char *json);

/* For apply_many: the operation ends failed, as if apply had returned this refusal for it alone.
 * Not for a task that has had an effect. */
void heddle_task_refuse(struct heddle_task *task, enum heddle_kind kind, const char *format, ...)
    HEDDLE_PRINTF(3, 4);

/* For apply and apply_many: enqueues a durable operation, of the same user or of another one, which
 * exists exactly if the effects of this one do. It enters its lane as they are committed, behind
 * all that the user has submitted before; those of one operation for one lane in their order. Texts
 * are copied; what the relay sets, and `reply`, has no effect; `id`, if not NULL, receives its id.
 *
 * HEDDLE_REFUSED: it is one too many, or too large (see HEDDLE_FOLLOW_UPS_MAX), or its id is no
 * UUID. HEDDLE_PERMANENT: this is no apply, or that of a handler that only reads. The task fails in
 * that way, whatever the handler makes of it. What Postgres refuses (names, sizes, a payload that
 * is no JSON object, an id that is another operation's) fails it behind apply in the same way. */
heddle_status heddle_task_enqueue(struct heddle_task *task,
                                  const struct heddle_submission *submission,
                                  char id[HEDDLE_ID_SIZE + 1],
                                  struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The result that apply set, or NULL. For after_commit. */
const char *heddle_task_result(const struct heddle_task *task);

/* For after_commit: tells whoever listens that something happened, best effort:
 * `json` is published on the Redis channel heddle:events as
 * {"event":name,"id":…,"user":…,"thread":…,"data":json}. Copied. */
void heddle_task_publish(struct heddle_task *task, const char *name, const char *json);

/* Members of the payload, for handlers that do not want to parse themselves.
 * The payload is parsed at the first call. `*found` is false where the member
 * is absent or null; then the other out-parameters are untouched. A member of
 * another type, or outside the bounds, is HEDDLE_REFUSED, kind invalid, with a
 * text that names the member and what is allowed. */
heddle_status heddle_payload_text(struct heddle_task *task, const char *member,
                                  struct heddle_text *value, bool *found,
                                  struct heddle_error *err) HEDDLE_MUST_CHECK;
heddle_status heddle_payload_integer(struct heddle_task *task, const char *member, int64_t least,
                                     int64_t most, int64_t *value, bool *found,
                                     struct heddle_error *err) HEDDLE_MUST_CHECK;
heddle_status heddle_payload_boolean(struct heddle_task *task, const char *member, bool *value,
                                     bool *found, struct heddle_error *err) HEDDLE_MUST_CHECK;
/* A member that must be a JSON object; `*json` is its serialized form. */
heddle_status heddle_payload_object(struct heddle_task *task, const char *member,
                                    struct heddle_text *json, bool *found,
                                    struct heddle_error *err) HEDDLE_MUST_CHECK;
/* Refuses members that are not in the NULL-terminated list `allowed`. */
heddle_status heddle_payload_only(struct heddle_task *task, const char *const *allowed,
                                  struct heddle_error *err) HEDDLE_MUST_CHECK;

/* True for the canonical text of a UUID, upper or lower case. */
bool heddle_is_uuid(const char *text, size_t size);

/* A new random UUID (version 4) as lower-case text with its NUL. */
void heddle_uuid_new(char uuid[HEDDLE_ID_SIZE + 1]);

enum heddle_handler_flag {
    HEDDLE_HANDLER_READ_ONLY =
        1 << 0, /* apply runs in a READ ONLY transaction; leaves no ledger row, but in a batch */
    HEDDLE_HANDLER_NEVER_BUNDLE = 1 << 1, /* always a transaction of its own */
    HEDDLE_HANDLER_NO_EFFECTS = 1 << 2,   /* touches no database: it has no apply. What it does
                                             may be repeated; submitted directly it leaves no
                                             ledger row */
};

/* An operation is bundled with others where its handler is quick, has no prepare and does not
 * forbid it, and where it is tried for the first time. */
struct heddle_handler {
    const char *op; /* 1–64 of a-z0-9_. */
    unsigned flags; /* of enum heddle_handler_flag */
    heddle_status (*check)(struct heddle_task *task, struct heddle_error *err);
    heddle_status (*prepare)(struct heddle_task *task, struct heddle_error *err);
    heddle_status (*apply)(struct heddle_task *task, struct heddle_uow *uow,
                           struct heddle_error *err);
    /* The same for several operations, of several users, by statements over all of them: each
     * gets its result, or is refused by heddle_task_refuse and has no effect. A user's tasks stand
     * in their order. Any other failure is nobody's: all is rolled back, and apply called for
     * each. May be NULL. */
    heddle_status (*apply_many)(struct heddle_task *const *tasks, size_t count,
                                struct heddle_uow *uow, struct heddle_error *err);
    void (*after_commit)(struct heddle_task *task);
    struct heddle_policy policy;
};

#endif
