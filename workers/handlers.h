/* One handler an operation, each defined in the file of its name. */
#ifndef WORKERS_HANDLERS_H
#define WORKERS_HANDLERS_H

#include "heddle/operation.h"

extern const struct heddle_handler create_thread_handler;
extern const struct heddle_handler get_thread_handler;
extern const struct heddle_handler list_threads_handler;
extern const struct heddle_handler update_thread_handler;
extern const struct heddle_handler delete_thread_handler;
extern const struct heddle_handler get_messages_handler;
extern const struct heddle_handler auto_rename_handler;
extern const struct heddle_handler send_message_handler;

#endif
