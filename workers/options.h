/* What the handlers are told by the configuration. */
#ifndef WORKERS_OPTIONS_H
#define WORKERS_OPTIONS_H

#include <stdbool.h>

struct workers_options {
    bool reveal_forbidden;     /* another user's thread is forbidden instead of not_found */
    const char *title_url;     /* of a chat completions endpoint; NULL: titles by the local rule */
    const char *title_model;   /* NULL: the endpoint's own choice */
    const char *title_api_key; /* sent as a bearer token; NULL: none */
    int title_timeout_ms;      /* for the whole exchange; 0: the default of five seconds */
};

/* Call it once, before threads exist. The texts are borrowed for as long as
 * handlers run. Without it, all options have their zero values. */
void workers_configure(const struct workers_options *options);

/* Thread-safe; never NULL. */
const struct workers_options *workers_options(void);

#endif
