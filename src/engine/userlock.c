/* See userlock.h. Called by workers. */
#include "engine/userlock.h"

#include "base/arena.h"
#include "base/thread.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Entries are as many as workers, so the table does not grow. */
enum { SHARDS = 16, BUCKETS = 16 };

struct userlock {
    struct userlock *next; /* in its bucket */
    struct condition freed;
    uint64_t hash;
    size_t references; /* holder and waiters; guarded by the shard's mutex */
    bool is_held;      /* likewise */
    size_t size;
    char name[];
};

struct shard {
    struct mutex mutex;
    struct userlock *buckets[BUCKETS] GUARDED;
    size_t count GUARDED;
};

struct userlock_table {
    struct shard shards[SHARDS];
};

static uint64_t hash_of(struct heddle_text name);
static struct shard *shard_of(struct userlock_table *table, uint64_t hash);
static struct userlock **find_locked(struct shard *shard, uint64_t hash, struct heddle_text name)
    REQUIRES(shard->mutex);
static struct userlock *create_locked(struct shard *shard, uint64_t hash, struct heddle_text name)
    REQUIRES(shard->mutex);
static void unlink_locked(struct shard *shard, struct userlock *lock) REQUIRES(shard->mutex);

struct userlock_table *userlock_table_new(void)
{
    struct userlock_table *table = memory_take_zeroed(1, sizeof *table);
    for (int i = 0; i < SHARDS; i++)
        mutex_init(&table->shards[i].mutex);
    return table;
}

void userlock_table_free(struct userlock_table *table)
{
    if (!table)
        return;
    if (userlock_count(table) != 0)
        abort();
    for (int i = 0; i < SHARDS; i++)
        mutex_done(&table->shards[i].mutex);
    free(table);
}

struct userlock *userlock_acquire(struct userlock_table *table, struct heddle_text lane)
{
    uint64_t hash = hash_of(lane);
    struct shard *shard = shard_of(table, hash);

    mutex_lock(&shard->mutex);
    struct userlock *lock = *find_locked(shard, hash, lane);
    if (!lock)
        lock = create_locked(shard, hash, lane);
    lock->references++;
    while (lock->is_held)
        condition_wait(&lock->freed, &shard->mutex);
    lock->is_held = true;
    mutex_unlock(&shard->mutex);
    return lock;
}

void userlock_release(struct userlock_table *table, struct userlock *lock)
{
    struct shard *shard = shard_of(table, lock->hash);

    mutex_lock(&shard->mutex);
    assert(lock->is_held && lock->references > 0);
    lock->is_held = false;
    if (--lock->references > 0) {
        condition_signal(&lock->freed);
        mutex_unlock(&shard->mutex);
        return;
    }
    unlink_locked(shard, lock);
    mutex_unlock(&shard->mutex);
    condition_done(&lock->freed);
    free(lock);
}

size_t userlock_count(struct userlock_table *table)
{
    size_t count = 0;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = &table->shards[i];
        mutex_lock(&shard->mutex);
        count += shard->count;
        mutex_unlock(&shard->mutex);
    }
    return count;
}

/* Source: G. Fowler, L. C. Noll, K.-P. Vo: FNV-1a, 64 bits. */
static uint64_t hash_of(struct heddle_text name)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ (unsigned char)name.data[i]) * 0x100000001B3u;
    return hash;
}

static struct shard *shard_of(struct userlock_table *table, uint64_t hash)
{
    return &table->shards[hash % SHARDS];
}

/* The link that points to the entry, or to the end of its bucket. */
static struct userlock **find_locked(struct shard *shard, uint64_t hash, struct heddle_text name)
{
    struct userlock **link = &shard->buckets[hash / SHARDS % BUCKETS];

    while (*link && ((*link)->hash != hash || (*link)->size != name.size ||
                     memcmp((*link)->name, name.data, name.size) != 0))
        link = &(*link)->next;
    return link;
}

static struct userlock *create_locked(struct shard *shard, uint64_t hash, struct heddle_text name)
{
    struct userlock *lock = memory_take_zeroed(1, sizeof *lock + name.size);
    struct userlock **bucket = &shard->buckets[hash / SHARDS % BUCKETS];

    condition_init(&lock->freed);
    lock->hash = hash;
    lock->size = name.size;
    memcpy(lock->name, name.data, name.size);
    lock->next = *bucket;
    *bucket = lock;
    shard->count++;
    return lock;
}

static void unlink_locked(struct shard *shard, struct userlock *lock)
{
    *find_locked(shard, lock->hash, (struct heddle_text){lock->name, lock->size}) = lock->next;
    shard->count--;
}
