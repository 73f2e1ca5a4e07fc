/* A journal with a link of its own (heddle/journal.h). Runs on the caller's thread. */
#include "heddle/journal.h"

#include "base/arena.h"
#include "ledger/journal.h"
#include "link/pg.h"

#include <stdlib.h>

struct heddle_journal {
    struct pg_link *link;
};

heddle_status heddle_journal_new(const char *postgres, int timeout_ms,
                                 struct heddle_journal **journal, struct heddle_error *err)
{
    const struct pg_options options = {
        .conninfo = postgres,
        .application_name = "heddle client",
        .connect_timeout_ms = timeout_ms,
        .statement_timeout_ms = timeout_ms,
        .idle_transaction_timeout_ms = timeout_ms,
        .deadline_ms = timeout_ms,
    };
    struct pg_link *link;

    heddle_status status = pg_new(&options, &link, err);
    if (status != HEDDLE_OK)
        return status;
    *journal = memory_take(sizeof **journal);
    (*journal)->link = link;
    return HEDDLE_OK;
}

void heddle_journal_free(struct heddle_journal *journal)
{
    if (!journal)
        return;
    pg_free(journal->link);
    free(journal);
}

heddle_status heddle_journal_submit(struct heddle_journal *journal,
                                    const struct heddle_submission *submissions, size_t count,
                                    struct heddle_receipt *receipts, struct heddle_error *err)
{
    return journal_submit(journal->link, submissions, count, receipts, err);
}
