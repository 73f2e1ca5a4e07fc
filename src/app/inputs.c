/* Values of command flags (inputs.h). Runs on the main thread. */
#include "app/inputs.h"

#include "app/arguments.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/flow.h"
#include "base/policy.h"
#include "base/text.h"

static const int64_t WEEK_US = 7LL * 86400 * 1000000;

static char *read_payload(const char *source, size_t bytes_max, size_t *size);

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

bool input_payload(const struct arguments *arguments, int64_t bytes_max, char **memory,
                   struct heddle_text *payload)
{
    const char *source = arguments_get(arguments, "payload");

    *memory = NULL;
    *payload = TEXT("");
    if (!source)
        return true;
    *memory = read_payload(source, (size_t)bytes_max + 1, &payload->size);
    if (!*memory) {
        report_text(EXIT_USAGE, "--payload = %.60s: can't be read: %s", source, strerror(errno));
        return false;
    }
    payload->data = *memory;
    return true;
}

heddle_status input_options(const struct arguments *arguments, struct heddle_policy *policy,
                            struct heddle_flow *flow, struct heddle_error *err)
{
    static const struct {
        const char *flag, *option;
        enum { AS_IT_IS, DURATION, TIME, SWITCH } kind;
    } rows[] = {{"attempts", "attempts", AS_IT_IS},
                {"backoff", "backoff_ms", DURATION},
                {"backoff-max", "backoff_max_ms", DURATION},
                {"deadline", "deadline_ms", DURATION},
                {"on-failure", "on_failure", AS_IT_IS},
                {"delay", "delay_ms", DURATION},
                {"at", "at_ms", TIME},
                {"expires", "expires_ms", DURATION},
                {"priority", "priority", AS_IT_IS},
                {"batch", "batch", AS_IT_IS},
                {"unique-key", "unique_key", AS_IT_IS},
                {"unique-for", "unique_ms", DURATION},
                {"replace", "replace", SWITCH}};
    heddle_status status = HEDDLE_OK;

    for (size_t i = 0; status == HEDDLE_OK && i < sizeof rows / sizeof *rows; i++) {
        const char *text = arguments_get(arguments, rows[i].flag);
        char ms[24];
        int64_t us;
        if (!text)
            continue;
        if (rows[i].kind == DURATION && !text_parse_duration_us(text, &us))
            return heddle_refuse(err, HEDDLE_KIND_INVALID,
                                 "--%s = %.60s: allowed is a duration with its unit, e.g. 250ms",
                                 rows[i].flag, text);
        if (rows[i].kind == TIME && !text_parse_time_us(text, &us))
            return heddle_refuse(err, HEDDLE_KIND_INVALID,
                                 "--%s = %.60s: allowed is a time such as 2030-01-31T09:00:00Z or "
                                 "2030-01-31T10:00:00+01:00",
                                 rows[i].flag, text);
        if (rows[i].kind == DURATION || rows[i].kind == TIME) {
            snprintf(ms, sizeof ms, "%" PRId64, us / 1000);
            text = ms;
        }
        const struct heddle_text name = text_of(rows[i].option);
        const struct heddle_text value = rows[i].kind == SWITCH ? TEXT("1") : text_of(text);
        status = flow_has_option(name) ? flow_set(flow, name, value, err)
                                       : policy_set(policy, name, value, err);
    }
    return status;
}

/* `bytes_max` at most. NULL: errno tells. */
static char *read_payload(const char *source, size_t bytes_max, size_t *size)
{
    if (strcmp(source, "-") != 0 && *source != '@') {
        *size = strlen(source);
        return strcpy(memory_take(*size + 1), source);
    }
    FILE *file = *source == '@' ? fopen(source + 1, "re") : stdin;
    if (!file)
        return NULL;
    char *payload = memory_take(bytes_max + 1);
    *size = fread(payload, 1, bytes_max, file);
    payload[*size] = '\0';
    bool has_failed = ferror(file) != 0;
    int cause = errno;
    if (file != stdin)
        fclose(file);
    if (!has_failed)
        return payload;
    free(payload);
    errno = cause;
    return NULL;
}
