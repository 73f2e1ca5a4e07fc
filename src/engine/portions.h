/* How what there is of a shared limit is divided among partitions. Pure; on the caller's thread. */
#ifndef ENGINE_PORTIONS_H
#define ENGINE_PORTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One partition's part: of the tokens of a rate's burst, with which goes the same part of the rate,
 * or of an op's slots. */
struct portion {
    int64_t share;     /* what it has */
    int64_t used;      /* slots that are in use, perhaps more than it has; 0 of a rate */
    int64_t waiting;   /* lanes that stand in line */
    int64_t oldest_us; /* since when the first of them does; 0: none */
    bool is_known;     /* the partition knows the limit */
    int64_t wanted;    /* what it shall have */
};

/* Says what each shall have, at most `total` in all: by how many wait, the last ones to those that
 * wait longest. With `is_capped` none has more than it can use while others can. Where nobody waits
 * and all is given out, nothing moves. */
void portions_divide(struct portion *portions, size_t count, int64_t total, bool is_capped);

/* After those that shall have less have it: lowers what others shall have to what is free by now.
 */
void portions_fit(struct portion *portions, size_t count, int64_t total);

/* True where something will move, or should. */
bool portions_are_contended(const struct portion *portions, size_t count);

#endif
