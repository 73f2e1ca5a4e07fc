/* Values of command flags (inputs.h). Runs on the main thread. */
#include "app/inputs.h"

#include "app/arguments.h"

#include <ctype.h>
#include <string.h>

#include "base/text.h"

static const int64_t WEEK_US = 7LL * 86400 * 1000000;

bool input_id(const char *word, char id[HEDDLE_ID_SIZE + 1])
{
    if (!word || !heddle_is_uuid(word, strlen(word))) {
        report_text(EXIT_USAGE, "ID = %.60s: allowed is a UUID", word ? word : "(none)");
        return false;
    }
    for (size_t i = 0; i <= HEDDLE_ID_SIZE; i++)
        id[i] = (char)tolower((unsigned char)word[i]);
    return true;
}

bool input_duration(const struct arguments *arguments, const char *name, int64_t *duration_ms)
{
    const char *text = arguments_get(arguments, name);
    int64_t duration_us;

    if (!text || !*text)
        return true;
    if (!text_parse_duration_us(text, &duration_us) || duration_us < 0 || duration_us > WEEK_US) {
        report_text(EXIT_USAGE,
                    "--%s = %.60s: allowed is 0ms to 7d, with its unit (ms, s, m, h, d)", name,
                    text);
        return false;
    }
    *duration_ms = duration_us / 1000;
    return true;
}
