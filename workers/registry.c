/* See registry.h. */
#include "workers/registry.h"

#include "workers/handlers.h"

const struct heddle_handler *const *workers_registry(void)
{
    static const struct heddle_handler *const handlers[] = {
        &create_thread_handler, &get_thread_handler,    &list_threads_handler,
        &update_thread_handler, &delete_thread_handler, &get_messages_handler,
        &auto_rename_handler,   &send_message_handler,  NULL,
    };
    return handlers;
}
