/* See options.h. Written once by the thread that starts the others, read by
 * the handlers of every worker. */
#include "workers/options.h"

#include <curl/curl.h>

enum { TITLE_TIMEOUT_MS = 5000 };

static struct workers_options current;

void workers_configure(const struct workers_options *options)
{
    current = *options;
    if (current.title_timeout_ms <= 0)
        current.title_timeout_ms = TITLE_TIMEOUT_MS;
    /* Left to its first handle, curl would do this in two threads at once. A
     * failure comes back from every handle, where it is reported. */
    if (current.title_url)
        (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

const struct workers_options *workers_options(void)
{
    return &current;
}
