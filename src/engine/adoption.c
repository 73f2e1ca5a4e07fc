/* See adoption.h. */
#include "engine/adoption.h"

#include "base/arena.h"
#include "engine/handlers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct page {
    bool is_due;
    char cursor[24]; /* of the next page */
};

struct adoption {
    struct handlers *handlers;
    bool is_quarantine;
    int64_t version; /* of the handlers that the reasons are made of */
    unsigned partitions;
    const char **reasons; /* NULL-terminated; in the arena */
    struct arena arena;
    struct page pages[]; /* by partition */
};

static void refresh(struct adoption *adoption);
static void collect_reasons(struct adoption *adoption);

struct adoption *adoption_new(unsigned partitions, struct handlers *handlers, bool is_quarantine)
{
    struct adoption *adoption =
        memory_take_zeroed(1, sizeof *adoption + partitions * sizeof *adoption->pages);

    adoption->handlers = handlers;
    adoption->is_quarantine = is_quarantine;
    adoption->partitions = partitions;
    arena_init(&adoption->arena, 0);
    collect_reasons(adoption);
    for (unsigned p = 0; p < partitions; p++)
        strcpy(adoption->pages[p].cursor, "0");
    return adoption;
}

void adoption_free(struct adoption *adoption)
{
    if (!adoption)
        return;
    arena_done(&adoption->arena);
    free(adoption);
}

void adoption_expect(struct adoption *adoption, unsigned partition, int64_t halted)
{
    adoption->pages[partition].is_due = halted > 0;
}

bool adoption_is_due(struct adoption *adoption, unsigned partition)
{
    refresh(adoption);
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

/* Where there are other handlers, every partition is due. */
static void refresh(struct adoption *adoption)
{
    if (handlers_version(adoption->handlers) == adoption->version)
        return;
    collect_reasons(adoption);
    for (unsigned p = 0; p < adoption->partitions; p++)
        adoption->pages[p].is_due = true;
}

static void collect_reasons(struct adoption *adoption)
{
    size_t count = 0;

    arena_reset(&adoption->arena);
    /* Those that come behind it are seen next time. */
    adoption->version = handlers_version(adoption->handlers);
    const char *const *names = handlers_names(adoption->handlers, &adoption->arena);
    while (names[count])
        count++;
    adoption->reasons = arena_alloc(&adoption->arena, (count + 2) * sizeof *adoption->reasons);
    for (size_t i = 0; i <= count; i++)
        adoption->reasons[i] = names[i] ? arena_format(&adoption->arena, "op %s", names[i]) : NULL;
    if (adoption->is_quarantine) {
        adoption->reasons[0] = "suspect";
        adoption->reasons[1] = NULL;
    }
}
