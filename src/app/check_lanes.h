/* The part of `heddle check` that looks at lanes: Redis for itself, and against the journal. */
#ifndef APP_CHECK_LANES_H
#define APP_CHECK_LANES_H

struct findings;
struct pg_link;
struct redis_link;

/* `pg` may be NULL: then the journal is not asked, and what only it can tell is left out. */
void check_lanes(struct findings *findings, struct redis_link *redis, unsigned partitions,
                 struct pg_link *pg);

#endif
