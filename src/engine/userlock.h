/* The critical sections of lanes inside one process.
 *
 * Keyed, sharded, reference-counted: an entry exists while someone holds or
 * waits for it, and is freed by the last one to leave. So there is no sweeper,
 * and no pop that could free a held lock. Thread-safe.
 *
 * Redis hands a lane to one processor at a time; this lock matters when a lease
 * has expired while our own worker still runs, and the lane comes back to us. */
#ifndef ENGINE_USERLOCK_H
#define ENGINE_USERLOCK_H

#include "heddle/operation.h"

#include <stddef.h>

struct userlock_table;
struct userlock;

struct userlock_table *userlock_table_new(void);

/* Aborts where an entry is left: somebody still holds a lock. Takes NULL. */
void userlock_table_free(struct userlock_table *table);

/* Enters the lane's critical section, waiting while another thread is in it. Not recursive. The
 * name is copied. */
struct userlock *userlock_acquire(struct userlock_table *table, struct heddle_text lane);

/* Leaves it; the lock must not be used afterwards. */
void userlock_release(struct userlock_table *table, struct userlock *lock);

/* Entries that exist now. */
size_t userlock_count(struct userlock_table *table);

#endif
