/* Titles by a language model: one request to an OpenAI-compatible chat
 * completions endpoint. For prepare, never inside a transaction. */
#ifndef WORKERS_TITLE_ENDPOINT_H
#define WORKERS_TITLE_ENDPOINT_H

#include "heddle/error.h"
#include "workers/title.h"

struct title_endpoint {
    const char *url;     /* of the endpoint itself: http(s)://…/chat/completions */
    const char *model;   /* NULL: the endpoint's own choice */
    const char *api_key; /* NULL: none */
    int timeout_ms;      /* for the whole exchange; above 0 */
};

/* Asks for a title of the message and cleans it with title_make. HEDDLE_RETRY,
 * with `title` untouched, for whatever kept a title from coming: no connection,
 * time out, HTTP error, an answer that is too large, makes no sense or is
 * empty; make one by title_make then. Thread-safe; takes at most timeout_ms.
 * Error texts hold nothing of the message or the answer.
 * Source: OpenAI API reference, "Create chat completion". */
heddle_status title_endpoint_ask(const struct title_endpoint *endpoint, const char *message,
                                 char title[TITLE_SIZE],
                                 struct heddle_error *err) HEDDLE_MUST_CHECK;

#endif
