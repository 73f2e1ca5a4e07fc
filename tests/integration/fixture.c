/* See fixture.h. */
#include "fixture.h"

#include "base/arena.h"
#include "base/clock.h"
#include "heddle/uow.h"
#include "ledger/migrate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ANSWERS = 4, STEP_MS = 5 };

static struct pg_link *looker;
static char *answers[ANSWERS];
static int answer_next;

static struct pg_link *look(void);
static const char *vask(const char *format, va_list arguments) HEDDLE_PRINTF(1, 0);

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);

    if (!value)
        fail_msg("%s is not set: run this with tests/support/with-servers", name);
    return value;
}

const char *fixture_redis(void)
{
    return from_environment("HEDDLE_REDIS");
}

const char *fixture_postgres(void)
{
    return from_environment("HEDDLE_POSTGRES");
}

const char *fixture_superuser(void)
{
    static char text[500];

    snprintf(text, sizeof text, "%s user=postgres", fixture_postgres());
    return text;
}

void fixture_migrate(void)
{
    struct heddle_error err;
    int applied;

    if (migrate_apply(look(), &applied, &err) != HEDDLE_OK)
        fail_msg("%s", err.text);
}

struct pg_options fixture_pg_options(const char *application_name)
{
    return (struct pg_options){
        .conninfo = fixture_postgres(),
        .application_name = application_name,
        .connect_timeout_ms = 5000,
        .statement_timeout_ms = 2000,
        .lock_timeout_ms = 300,
        .idle_transaction_timeout_ms = 5000,
        .deadline_ms = 5000,
        .with_prepared_statements = true,
    };
}

struct pg_link *fixture_pg(const struct pg_options *options)
{
    struct pg_link *link;
    struct heddle_error err;

    if (pg_new(options, &link, &err) != HEDDLE_OK)
        fail_msg("%s", err.text);
    return link;
}

const char *ask(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    const char *answer = vask(format, arguments);
    va_end(arguments);
    return answer;
}

void tell(const char *format, ...)
{
    struct heddle_error err;
    va_list arguments;
    char *sql;

    va_start(arguments, format);
    if (vasprintf(&sql, format, arguments) < 0)
        abort();
    va_end(arguments);
    heddle_status status = pg_script(look(), sql, &err);
    free(sql);
    if (status != HEDDLE_OK)
        fail_msg("%s: %s", format, err.text);
}

void tell_as_superuser(const char *sql)
{
    struct pg_options options = fixture_pg_options("superuser");
    struct heddle_error err;

    options.conninfo = fixture_superuser();
    struct pg_link *link = fixture_pg(&options);
    heddle_status status = pg_script(link, sql, &err);
    pg_free(link);
    if (status != HEDDLE_OK)
        fail_msg("%s: %s", sql, err.text);
}

void ask_until(const char *expected, const char *format, ...)
{
    const int64_t deadline_ms = clock_now_ms() + FIXTURE_PATIENCE_MS;
    const char *answer;

    do {
        va_list arguments;
        va_start(arguments, format);
        answer = vask(format, arguments);
        va_end(arguments);
        if (strcmp(answer, expected) == 0)
            return;
        clock_sleep_ms(STEP_MS);
    } while (clock_now_ms() < deadline_ms);
    fail_msg("%s: is '%s', never '%s'", format, answer, expected);
}

void fixture_done(void)
{
    pg_free(looker);
    looker = NULL;
    for (int i = 0; i < ANSWERS; i++) {
        free(answers[i]);
        answers[i] = NULL;
    }
}

static struct pg_link *look(void)
{
    if (!looker) {
        struct pg_options options = fixture_pg_options("looker");
        options.statement_timeout_ms = options.lock_timeout_ms = 0;
        /* Each question is new: nothing is to be prepared under its name. */
        options.with_prepared_statements = false;
        looker = fixture_pg(&options);
    }
    return looker;
}

static const char *vask(const char *format, va_list arguments)
{
    struct heddle_error err;
    AUTO_ROWS rows = NULL;
    char *sql;

    if (vasprintf(&sql, format, arguments) < 0)
        abort();
    const struct heddle_statement statement = {"question", sql, 0};
    heddle_status status = pg_query(look(), &statement, NULL, &rows, &err);
    free(sql);
    if (status != HEDDLE_OK)
        fail_msg("%s: %s", format, err.text);
    const char *field = heddle_rows_text(rows, 0, 0);
    answer_next = (answer_next + 1) % ANSWERS;
    free(answers[answer_next]);
    answers[answer_next] = strdup(field ? field : "");
    return answers[answer_next];
}
