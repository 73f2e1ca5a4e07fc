/* What is submitted once a batch has ended, as flags: heddle batch close, heddle submit --file. On
 * the main thread. */
#ifndef APP_COMPLETION_H
#define APP_COMPLETION_H

#include "app/command.h"
#include "ledger/batches.h"

#include <stdbool.h>

struct submission_rules;

/* True where one of the flags is given. */
bool completion_is_said(const struct arguments *arguments);

/* Reads --then-op, --then-user, --then-thread, --then-payload and --even-on-failure, and checks
 * what they say. EXIT_USAGE: one line says why. Texts are borrowed from the arguments. */
enum exit_code completion_read(const struct invocation *invocation,
                               const struct submission_rules *rules,
                               struct batch_completion *completion);

#define COMPLETION_USAGE                                                                           \
    "[--then-op OP --then-user U\n"                                                                \
    "              [--then-thread T] [--then-payload JSON] [--even-on-failure]]"

#define COMPLETION_FLAGS                                                                           \
    {"then-op", "OP", "once all of the batch is done, an operation of this kind is submitted"},    \
        {"then-user", "U", "whose it is"}, {"then-thread", "T", "its conversation"},               \
        {"then-payload", "JSON", "its payload; default {}"},                                       \
    {                                                                                              \
        "even-on-failure", NULL, "also where some of the batch failed, is dead or was cancelled"   \
    }

#endif
