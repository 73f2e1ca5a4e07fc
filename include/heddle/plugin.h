/* A team's own operations in a shared object, and hooks around every operation.
 *
 * The object is built against these headers alone, links nothing of Heddle's (what it calls is in
 * the program that loads it), and defines `heddle_plugin`:
 *
 *   const struct heddle_plugin heddle_plugin = {
 *       HEDDLE_PLUGIN_HEAD, .name = "notes", .handlers = handlers, .hooks = &hooks};
 *
 * The setting `handlers` names it. Each processor loads it when it starts, before it has threads,
 * and never unloads it: HUP puts processors with the file as it is now in the place of the old.
 * Commands that must know the operations load it too, so constructors do nothing but set up. */
#ifndef HEDDLE_PLUGIN_H
#define HEDDLE_PLUGIN_H

#include "heddle/error.h"
#include "heddle/operation.h"
#include "heddle/version.h"

#include <stddef.h>
#include <stdint.h>

/* What one execution of an operation came to. */
struct heddle_execution {
    enum heddle_end end; /* HEDDLE_END_NONE: it has not ended: it comes again, or halts its lane */
    int64_t took_us;     /* of a bundle: what all of it took */
    size_t bundled;      /* operations that were executed with it, itself included */
};

/* Why a user has left. */
enum heddle_closing {
    HEDDLE_CLOSING_LOGOUT,
    HEDDLE_CLOSING_PASSWORD_CHANGE,
    HEDDLE_CLOSING_DELETED,
    HEDDLE_CLOSING_IDLE, /* for as long as the setting `user_idle` says */
};

/* Called by the workers around every operation, a plugin's or not: on many threads at once, so what
 * stands behind `context` must bear that. Each may be NULL. They are in the way of the work, and
 * take none of it over: no commit, no outside call that may take long. Texts are borrowed for the
 * call; a payload is whatever was submitted, not yet checked when `start` sees it. */
struct heddle_hooks {
    void *context;

    /* An operation is about to be executed, alone or in a bundle. What it returns is given to
     * `end`, on the same thread; every start has its end, unless the process dies. An operation of
     * which a bundle could not make anything is started again. */
    void *(*start)(void *context, const struct heddle_operation *operation);
    void (*end)(void *context, const struct heddle_operation *operation, void *started,
                const struct heddle_execution *execution);

    /* A try of the operation failed, or was refused. Called before the error is recorded, told to
     * clients or logged: a text that is put into err->text stands there in place of it, made one
     * line of UTF-8; nothing else of it can be changed. `operation` is NULL where a bundle failed
     * and it is not known of which: then the error is only logged. */
    void (*error)(void *context, const struct heddle_operation *operation,
                  struct heddle_error *err);

    /* A user has left: credentials and whatever else is kept for them here can go. On a thread of
     * its own beside the workers, in every processor within a few seconds, and in the command
     * `heddle users close` itself: do it again without harm. The user may be back already, or have
     * operations that run. A failure, of which `err` tells in one line, is logged, and told by the
     * command; other plugins are asked all the same. */
    heddle_status (*user_closed)(void *context, struct heddle_text user, enum heddle_closing reason,
                                 struct heddle_error *err);
};

struct heddle_plugin {
    unsigned abi;                                 /* HEDDLE_ABI */
    size_t size;                                  /* of this structure */
    size_t handler_size;                          /* of struct heddle_handler */
    const char *name;                             /* for logs and messages */
    const struct heddle_handler *const *handlers; /* NULL-terminated; NULL: none */
    const struct heddle_hooks *hooks;             /* NULL: none */
};

/* What the program checks before it looks at the rest. */
#define HEDDLE_PLUGIN_HEAD                                                                         \
    .abi = HEDDLE_ABI, .size = sizeof(struct heddle_plugin),                                       \
    .handler_size = sizeof(struct heddle_handler)

/* The plugin's own, in static storage. */
extern const struct heddle_plugin heddle_plugin;

#endif
