/* The outbox: what the journal has accepted, brought to Redis. Confined to the relay's thread. */
#ifndef ENGINE_OUTBOX_H
#define ENGINE_OUTBOX_H

#include "base/arena.h"
#include "heddle/error.h"

#include <stddef.h>
#include <stdint.h>

struct heddle_client;
struct pg_link;

struct outbox {
    struct pg_link *pg; /* borrowed, as is the client */
    struct heddle_client *client;
    struct arena arena; /* of the page under way */
    char *relayed;  /* numbers that Redis has taken, to be removed with the next look; or NULL */
    int64_t behind; /* number behind which the next page begins */
    unsigned full_pages; /* in a row */
};

void outbox_init(struct outbox *outbox, struct pg_link *pg, struct heddle_client *client);
void outbox_done(struct outbox *outbox);

/* Relays the next page; `*count` is what it held, 0: there is nothing. */
heddle_status outbox_relay(struct outbox *outbox, size_t *count,
                           struct heddle_error *err) HEDDLE_MUST_CHECK;

/* Both links may have been lost: what was not seen to have happened is done again. */
void outbox_begin_anew(struct outbox *outbox);

#endif
