/* See findings.h. */
#include "app/findings.h"

#include "app/json_out.h"
#include "app/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { LISTED_MAX = 10000 }; /* more are mended and counted, not listed */

void findings_init(struct findings *findings, const struct invocation *invocation, bool repairs)
{
    *findings = (struct findings){.invocation = invocation,
                                  .checks = json_array(),
                                  .listed = json_array(),
                                  .repairs = repairs};
}

enum exit_code findings_done(struct findings *findings)
{
    if (findings->invocation->with_json)
        json_out(json_pack("{s:b, s:I, s:I, s:O, s:O}", "ok", findings->code == EXIT_DONE, "found",
                           (json_int_t)findings->found, "mended", (json_int_t)findings->mended,
                           "checks", findings->checks, "findings", findings->listed));
    json_decref(findings->checks);
    json_decref(findings->listed);
    return findings->code;
}

void findings_note(struct findings *findings, const char *name, bool is_ok, const char *format, ...)
{
    char text[600];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    text_make_line(text);
    if (!is_ok && findings->code == EXIT_DONE)
        findings->code = EXIT_ENDED_BADLY;
    if (!findings->invocation->with_json)
        printf("%-6s %-13s %s\n", is_ok ? "ok" : "FAIL", name, text);
    json_array_append_new(findings->checks,
                          json_pack("{s:s, s:b, s:s}", "name", name, "ok", is_ok, "text", text));
}

void findings_note_failed(struct findings *findings, const char *name, heddle_status status,
                          const struct heddle_error *err)
{
    const struct setting *row = settings_find(options_table, err->where);
    char shown[200];

    if (row)
        findings_note(findings, name, false, "%s (%s): %s",
                      settings_show(findings->invocation->settings, row, shown, sizeof shown),
                      settings_origin(findings->invocation->settings, row), err->text);
    else
        findings_note(findings, name, false, "%s", err->text);
    if (status == HEDDLE_RETRY)
        findings->code = report(findings->invocation, status, err);
}

void findings_add(struct findings *findings, const char *kind, unsigned partition,
                  struct heddle_text lane, const char *text, bool is_mended)
{
    char where[HEDDLE_USER_SIZE_MAX + 16] = "", words[500];

    findings->found++;
    findings->mended += is_mended;
    if (!is_mended && findings->code == EXIT_DONE)
        findings->code = EXIT_ENDED_BADLY;
    if (findings->found > LISTED_MAX)
        return;
    snprintf(words, sizeof words, "%s", text);
    text_make_line(words);
    if (findings->invocation->with_json) {
        json_array_append_new(findings->listed,
                              json_pack("{s:s, s:i, s:s%, s:s, s:b}", "kind", kind, "partition",
                                        (int)partition, "lane", lane.data, lane.size, "text", words,
                                        "mended", is_mended));
        return;
    }
    if (lane.size > 0)
        snprintf(where, sizeof where, ", lane %s", lane.data);
    text_make_line(where);
    printf("%-6s %-13s partition %u%s: %s\n", is_mended ? "MENDED" : "FAIL", kind, partition, where,
           words);
}
