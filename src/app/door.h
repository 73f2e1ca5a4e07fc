/* The door by which a command submits: Redis directly, or the journal first. */
#ifndef APP_DOOR_H
#define APP_DOOR_H

#include "heddle/client.h"

#include <stdbool.h>

struct options;
struct pg_link;

struct door {
    const struct options *options;
    struct heddle_client *client;
    struct pg_link *journal; /* NULL: submissions are direct */
};

/* Connects. HEDDLE_RETRY: can't be reached; HEDDLE_FATAL: refuses us. */
heddle_status door_open(struct door *door, const struct options *options, bool is_durable,
                        struct heddle_error *err) HEDDLE_MUST_CHECK;
void door_close(struct door *door);

/* As heddle_client_submit, whichever way. Either all of them want a reply or none. */
heddle_status door_submit(struct door *door, const struct heddle_submission *submissions,
                          size_t count, struct heddle_receipt *receipts,
                          struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Nobody waits for this reply any more: its result came another way, or too late. */
void door_forget(struct door *door, unsigned partition, const char *id);

#endif
