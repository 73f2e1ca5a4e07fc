/* What a pipeline has still to answer, and what the session has prepared. Runs on the link's
 * thread.
 */
#include "link/pg_internal.h"

#include "base/arena.h"

void pg_expect(struct pg_link *link, enum expectation_kind kind,
               const struct heddle_statement *statement)
{
    if (link->expected_count == link->expected_capacity) {
        link->expected_capacity = link->expected_capacity ? link->expected_capacity * 2 : 16;
        link->expected =
            memory_resize(link->expected, link->expected_capacity * sizeof *link->expected);
    }
    link->expected[link->expected_count++] = (struct expectation){kind, statement};
}

struct prepared *pg_prepared_find(struct pg_link *link, const struct heddle_statement *statement)
{
    for (size_t i = 0; i < link->prepared_count; i++)
        if (link->prepared[i].statement == statement)
            return &link->prepared[i];
    return NULL;
}

void pg_prepared_add(struct pg_link *link, const struct heddle_statement *statement)
{
    if (link->prepared_count == link->prepared_capacity) {
        link->prepared_capacity = link->prepared_capacity ? link->prepared_capacity * 2 : 16;
        link->prepared =
            memory_resize(link->prepared, link->prepared_capacity * sizeof *link->prepared);
    }
    link->prepared[link->prepared_count++] = (struct prepared){statement, false};
}

void pg_prepared_drop_unanswered(struct pg_link *link)
{
    size_t kept = 0;

    for (size_t i = 0; i < link->prepared_count; i++)
        if (link->prepared[i].is_ready)
            link->prepared[kept++] = link->prepared[i];
    link->prepared_count = kept;
}
