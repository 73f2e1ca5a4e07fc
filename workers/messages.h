/* The repository of messages: what chat.messages is asked and told.
 *
 * As threads.h says: in the caller's unit of work, on its worker, no commit, no
 * rollback, every status but HEDDLE_OK to be returned as it is; not_found (or
 * forbidden) where the thread is not the user's. */
#ifndef WORKERS_MESSAGES_H
#define WORKERS_MESSAGES_H

#include "heddle/uow.h"
#include "workers/threads.h"

enum { MESSAGE_EXCERPT_CHARACTERS = 4000 };

struct new_message {
    struct thread_key thread;
    const char *id; /* a UUID */
    const char *role;
    const char *content;
    const char *payload; /* a JSON object whose `metadata` is taken; NULL: {} */
};

/* Appends at the thread's next seq. The JSON lies in memory of the task. HEDDLE_REFUSED, kind
 * conflict, where the thread is archived. */
heddle_status messages_append(struct heddle_uow *uow, struct heddle_task *task,
                              const struct new_message *message, const char **json,
                              struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The same for many messages, a thread's in their order. `jsons[i]` is NULL where the thread takes
 * no message of this user, or is not there: threads_explain says what it is. `task` lends memory.
 */
heddle_status messages_append_many(struct heddle_uow *uow, struct heddle_task *task,
                                   const struct new_message *messages, size_t count,
                                   const char **jsons, struct heddle_error *err) HEDDLE_MUST_CHECK;

/* At most `limit` messages with a seq above `after`, as
 * {"messages","total","next_cursor"}. */
heddle_status messages_list(struct heddle_uow *uow, struct thread_key thread, int64_t after,
                            int64_t limit, const char **list,
                            struct heddle_error *err) HEDDLE_MUST_CHECK;

/* The beginning (MESSAGE_EXCERPT_CHARACTERS) of the first message of role user. HEDDLE_REFUSED,
 * kind invalid, where there is none. */
heddle_status messages_first_of_user(struct heddle_uow *uow, struct thread_key thread,
                                     const char **content,
                                     struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
