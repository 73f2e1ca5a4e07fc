/* Threads, mutexes and conditions that abort on misuse, with clang's
 * thread-safety annotations.
 *
 * Lock order, the only one: a thread that holds a mutex takes no other. Every
 * internal mutex is a leaf, held for a few instructions, never over I/O or a
 * callback. (A lane's critical section is not a mutex: see engine/userlock.h.) */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__clang__)
#define THREAD_ANNOTATION(x) __attribute__((x))
#else
#define THREAD_ANNOTATION(x)
#endif
/* A member of a struct with a mutex: to be touched only with a mutex held. (In C, clang can't be
 * told which: the struct's own.) */
#define GUARDED THREAD_ANNOTATION(guarded_var)
#define REQUIRES(mutex) THREAD_ANNOTATION(requires_capability(mutex))
#define ACQUIRES(mutex) THREAD_ANNOTATION(acquire_capability(mutex))
#define RELEASES(mutex) THREAD_ANNOTATION(release_capability(mutex))
#define EXCLUDES(mutex) THREAD_ANNOTATION(locks_excluded(mutex))

struct THREAD_ANNOTATION(capability("mutex")) mutex {
    pthread_mutex_t handle; /* error-checking */
};

struct condition {
    pthread_cond_t handle; /* on the monotonic clock */
};

void mutex_init(struct mutex *mutex);
void mutex_done(struct mutex *mutex);
void mutex_lock(struct mutex *mutex) ACQUIRES(mutex);
void mutex_unlock(struct mutex *mutex) RELEASES(mutex);

void condition_init(struct condition *condition);
void condition_done(struct condition *condition);
void condition_wait(struct condition *condition, struct mutex *mutex) REQUIRES(mutex);
/* False where `deadline_us` (clock_now_us) passed first. */
bool condition_wait_until(struct condition *condition, struct mutex *mutex, int64_t deadline_us)
    REQUIRES(mutex);
void condition_signal(struct condition *condition);
void condition_broadcast(struct condition *condition);

/* Starts a thread of this name (15 characters at most) with every signal
 * blocked: one thread of the process takes signals. Aborts where the system
 * has no thread left. */
void thread_start(pthread_t *thread, const char *name, void *(*body)(void *), void *argument);

/* Waits for its end. */
void thread_join(pthread_t thread);

#endif
