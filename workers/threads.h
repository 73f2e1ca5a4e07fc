/* The repository of threads: what chat.threads is asked and told.
 *
 * Each function runs in the caller's unit of work, on its worker; it never
 * commits, rolls back, or hides an error. `id` is a UUID, `user` the owner. JSON
 * that is handed out lives as long as the unit of work. Every status but
 * HEDDLE_OK is to be returned as it is; HEDDLE_REFUSED carries the kind:
 * not_found (or forbidden, by reveal_forbidden) for a thread that is not the
 * user's, and what else is said below. */
#ifndef WORKERS_THREADS_H
#define WORKERS_THREADS_H

#include "heddle/uow.h"
#include "workers/request.h"

struct thread_key {
    const char *id;
    const char *user;
};

/* The key that an operation names by its THREAD and its user. */
struct thread_key thread_key_of(const struct heddle_operation *op);

/* `fields` is a JSON object with title and metadata, each may be absent or
 * null. HEDDLE_REFUSED, kind conflict, where the id is in use. */
heddle_status threads_insert(struct heddle_uow *uow, struct thread_key key, const char *fields,
                             const char **thread, struct heddle_error *err) HEDDLE_MUST_CHECK;

heddle_status threads_get(struct heddle_uow *uow, struct thread_key key, const char **thread,
                          struct heddle_error *err) HEDDLE_MUST_CHECK;

struct thread_page {
    int64_t limit;
    int64_t offset;
    bool with_archived;
    const char *after_id;     /* the thread after which the page begins; NULL: at the first */
    int64_t after_created_us; /* its created_at */
};

/* The user's threads, newest first, as {"threads","total","next_cursor"}. */
heddle_status threads_list(struct heddle_uow *uow, const char *user, const struct thread_page *page,
                           const char **list, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Sets the title that `fields` names (null clears it), and merges its metadata
 * into the thread's. */
heddle_status threads_update(struct heddle_uow *uow, struct thread_key key, const char *fields,
                             const char **thread, struct heddle_error *err) HEDDLE_MUST_CHECK;

heddle_status threads_rename(struct heddle_uow *uow, struct thread_key key, const char *title,
                             const char **thread, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Again is fine and changes nothing; `*answer` says what there is now. */
heddle_status threads_archive(struct heddle_uow *uow, struct thread_key key, const char **answer,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* For a statement that found no thread to work on: why. HEDDLE_REFUSED, kind
 * conflict where the thread is the user's but archived; HEDDLE_RETRY where it
 * is there after all, because it came between the two statements. */
heddle_status threads_explain(struct heddle_uow *uow, struct thread_key key,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
