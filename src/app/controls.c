/* Controls in commands (controls.h). */
#include "app/controls.h"

#include "app/arguments.h"
#include "app/json_out.h"
#include "app/links.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "engine/controls.h"
#include "engine/shares.h"
#include "ledger/controls.h"
#include "link/redis.h"
#include "queue/partitions.h"

bool controls_target(const struct arguments *arguments, struct control_target *target,
                     bool *is_said)
{
    *target = (struct control_target){
        .user = arguments_get(arguments, "user"),
        .op = arguments_get(arguments, "op"),
        .is_all = arguments_get(arguments, "all") != NULL,
    };
    int said = (target->user != NULL) + (target->op != NULL) + target->is_all;
    *is_said = said == 1;
    if (said > 1)
        report_text(EXIT_USAGE, "%s: allowed is one of --user, --op and --all",
                    arguments->command->name);
    return said <= 1;
}

const char *controls_author(const struct arguments *arguments)
{
    static char author[160];
    const char *by = arguments_get(arguments, "by");
    const struct passwd *self = getpwuid(geteuid());
    char host[65] = "";

    if (by && *by)
        return by;
    gethostname(host, sizeof host - 1);
    snprintf(author, sizeof author, "%.80s@%s", self ? self->pw_name : "?", host);
    return author;
}

enum exit_code controls_tell(const struct invocation *invocation, struct pg_link *ledger)
{
    struct redis_link *queue;
    struct heddle_error err;
    unsigned partitions = 0;
    bool is_contended;

    heddle_status status = links_redis(invocation->options, &queue, &err);
    if (status == HEDDLE_OK) {
        status = partitions_get(queue, &partitions, &err);
        if (status == HEDDLE_OK)
            status = controls_spread(ledger, queue, partitions, &err);
        if (status == HEDDLE_OK)
            status = shares_balance(ledger, queue, partitions, &is_contended, &err);
        redis_free(queue);
    }
    if (status == HEDDLE_OK)
        return EXIT_DONE;
    (void)report(invocation, status, &err);
    return report_text(EXIT_UNREACHABLE, "it is recorded; Redis hears of it when a processor has "
                                         "reached it");
}

void controls_print(const struct invocation *invocation, const char *what,
                    const struct control_target *target, const char *state)
{
    const char *name = target->user ? target->user : target->op;

    if (!what)
        what = target->user ? "user" : target->op ? "op" : "everything";

    if (invocation->with_json)
        json_out(json_pack("{s:s, s:s*, s:s}", "what", what, "name", name, "state", state));
    else
        printf("%s%s%s: %s\n", what, name ? " " : "", name ? name : "", state);
}

void controls_print_row(bool with_json, json_t *row, const char *said, const char *behind)
{
    const char *name = json_string_value(json_object_get(row, "name"));
    char line[400];

    if (with_json) {
        json_out(row);
        return;
    }
    snprintf(line, sizeof line, "%s%s%s%s since=%s by=%s%s",
             json_string_value(json_object_get(row, "what")), name ? " " : "", name ? name : "",
             said, json_string_value(json_object_get(row, "since")),
             json_string_value(json_object_get(row, "by")), behind);
    text_make_line(line);
    puts(line);
    json_decref(row);
}
