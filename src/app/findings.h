/* What `heddle check` says: a line or a JSON object for each check and for each finding, the
 * counts, the exit code. Main thread. */
#ifndef APP_FINDINGS_H
#define APP_FINDINGS_H

#include "app/command.h"
#include "heddle/operation.h"

#include <jansson.h>
#include <stdint.h>

struct findings {
    const struct invocation *invocation;
    json_t *checks, *listed;
    enum exit_code code;
    int64_t found, mended;
    bool repairs;
};

void findings_init(struct findings *findings, const struct invocation *invocation, bool repairs);

/* Prints the whole as JSON where that is asked for; returns the exit code. */
enum exit_code findings_done(struct findings *findings);

/* A check and how it went. */
void findings_note(struct findings *findings, const char *name, bool is_ok, const char *format, ...)
    HEDDLE_PRINTF(4, 5);

/* The same for a server or a question that failed. */
void findings_note_failed(struct findings *findings, const char *name, heddle_status status,
                          const struct heddle_error *err);

/* Something broken. `lane` is empty where it is not about one. */
void findings_add(struct findings *findings, const char *kind, unsigned partition,
                  struct heddle_text lane, const char *text, bool is_mended);

#endif
