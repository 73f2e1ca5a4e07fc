/* A claim: a lane handed to this processor, with its next operations.
 *
 * It has one owner at a time: the fetcher makes it, a worker executes it, the
 * settler settles and frees it. */
#ifndef QUEUE_CLAIM_H
#define QUEUE_CLAIM_H

#include "base/arena.h"
#include "heddle/error.h"
#include "heddle/operation.h"

#include <stdatomic.h>
#include <stdint.h>

/* Why a claimed operation shall end early. A stronger cause takes the place of a weaker one. */
enum cancel_cause {
    CANCEL_NONE,
    CANCEL_DEADLINE, /* it has run past its soft deadline: it comes again */
    CANCEL_QUIT,     /* its processor ends now: it comes again elsewhere */
    CANCEL_ASKED,    /* a client wants it not to happen: it ends cancelled, unless it is done */
};

struct claimed_operation {
    struct heddle_operation operation; /* its texts lie in the claim */
    struct heddle_text content;        /* user, op, thread and payload, with a NUL between them */
    bool wants_reply;                  /* somebody waits for the result */
    bool is_journaled;                 /* durable: the journal has its row */
    bool is_poisoned;                  /* it has crashed its process too often */
    atomic_int cancel;                 /* enum cancel_cause; see claimed_cancel */
    bool is_parked;            /* set by the worker: it leaves its lane without having ended */
    enum heddle_end end;       /* set by the worker */
    struct heddle_text result; /* JSON for clients, in the claim's arena; set with `end` */
    bool sends_result;         /* Redis needs it: somebody waits, or the ledger does not keep it */
};

/* An event to publish, owned by the claim. */
struct claim_event {
    struct claim_event *next;
    const char *json;
};

/* How the next operations of a claim are executed; decided by the engine. */
enum claim_way {
    WAY_ALONE,   /* one, in a unit of work of its own */
    WAY_PURE,    /* several, that have no effects: in none */
    WAY_CAREFUL, /* several, in one unit of work, each in a savepoint */
    WAY_BUNDLE,  /* several, in one unit of work, by statements over all of them */
};

struct strands;

struct claim {
    struct claim *next;      /* of whatever list its owner keeps */
    struct claim *next_held; /* among the processor's claims: engine/holdings.h */
    unsigned partition;
    uint64_t seq; /* with the processor's incarnation: the claim's token */
    struct heddle_text lane;
    struct arena arena;         /* results and events */
    struct claim_event *events; /* the newest first */
    size_t done;                /* operations that have ended, before all others */
    size_t alone_until;         /* up to here they go alone: a bundle with them has failed */
    size_t careful_until;       /* up to here in savepoints at most */
    enum claim_way way;         /* of the next ones, as the run queue saw it */
    size_t operation_count;
    struct claimed_operation *operations;
    int places, place;       /* a strand has one of so many places; 0: it has the whole lane */
    struct strands *strands; /* that it is split into, or that it is one of: see strands.h */
};

/* Reads the records that Redis handed out with a lane, in pieces of one or several: a fresh claim
 * that owns a copy of them. HEDDLE_FATAL: records of a version that this binary does not know. */
heddle_status claim_new(unsigned partition, uint64_t seq, struct heddle_text lane,
                        const struct heddle_text *pieces, size_t piece_count, struct claim **claim,
                        struct heddle_error *err) HEDDLE_MUST_CHECK;
void claim_free(struct claim *claim);

/* Asks for the operation's early end. From any thread that keeps the claim from being freed. */
void claimed_cancel(struct claimed_operation *claimed, enum cancel_cause cause);
enum cancel_cause claimed_cancel_cause(const struct claimed_operation *claimed);

/* Whether its expiry has come before its first attempt. */
bool claimed_has_expired(const struct claimed_operation *claimed);

/* A FIFO of claims. Not locked: whoever shares one guards it. */
struct claim_list {
    struct claim *first, **last;
    size_t count;
};

void claim_list_init(struct claim_list *list);
void claim_list_push(struct claim_list *list, struct claim *claim);
void claim_list_push_front(struct claim_list *list, struct claim *claim);
struct claim *claim_list_pop(struct claim_list *list); /* NULL where it is empty */

#endif
