/* See adoption.h. */
#include "engine/adoption.h"

#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct page {
    bool is_due;
    char cursor[24]; /* of the next page */
};

struct adoption {
    const char **reasons; /* NULL-terminated */
    struct arena names;   /* of the reasons */
    struct page pages[];  /* by partition */
};

struct adoption *adoption_new(unsigned partitions, const struct heddle_handler *const *handlers,
                              bool is_quarantine)
{
    struct adoption *adoption =
        memory_take_zeroed(1, sizeof *adoption + partitions * sizeof *adoption->pages);
    size_t count = 0;

    while (handlers[count])
        count++;
    adoption->reasons = memory_take_zeroed(count + 2, sizeof *adoption->reasons);
    arena_init(&adoption->names, 0);
    if (is_quarantine)
        adoption->reasons[0] = "suspect";
    else
        for (size_t i = 0; i < count; i++)
            adoption->reasons[i] = arena_format(&adoption->names, "op %s", handlers[i]->op);
    for (unsigned p = 0; p < partitions; p++)
        strcpy(adoption->pages[p].cursor, "0");
    return adoption;
}

void adoption_free(struct adoption *adoption)
{
    if (!adoption)
        return;
    free(adoption->reasons);
    arena_done(&adoption->names);
    free(adoption);
}

void adoption_expect(struct adoption *adoption, unsigned partition, int64_t halted)
{
    adoption->pages[partition].is_due = halted > 0;
}

bool adoption_is_due(const struct adoption *adoption, unsigned partition)
{
    return adoption->pages[partition].is_due;
}

heddle_status adoption_look(struct adoption *adoption, struct redis_link *link,
                            struct command *command, unsigned partition,
                            const struct lanes_request *request, struct lanes_answer *answer,
                            struct heddle_error *err)
{
    struct page *page = &adoption->pages[partition];
    char cursor[sizeof page->cursor];

    strcpy(cursor, page->cursor);
    heddle_status status =
        lanes_adopt(link, command, partition, request, adoption->reasons, cursor, answer, err);
    if (status != HEDDLE_OK)
        return status;
    /* A page of which we took all that we may is looked at again: there may be more. */
    if (answer->claims.count < (size_t)request->lanes_max)
        strcpy(page->cursor, cursor);
    page->is_due = answer->claims.count > 0 || strcmp(page->cursor, "0") != 0;
    return HEDDLE_OK;
}
