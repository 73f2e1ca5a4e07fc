/* See thread.h. */
#include "base/thread.h"

#include "base/arena.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* pthread functions return their error; a failure here is a bug of ours. */
static void must(int error, const char *what)
{
    if (error == 0)
        return;
    fprintf(stderr, "heddle: %s: %s\n", what, strerror(error));
    abort();
}

void mutex_init(struct mutex *mutex)
{
    pthread_mutexattr_t attributes;
    must(pthread_mutexattr_init(&attributes), "mutex attributes");
    must(pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK), "mutex type");
    must(pthread_mutex_init(&mutex->handle, &attributes), "mutex init");
    must(pthread_mutexattr_destroy(&attributes), "mutex attributes");
}

void mutex_done(struct mutex *mutex)
{
    must(pthread_mutex_destroy(&mutex->handle), "mutex destroy");
}

void mutex_lock(struct mutex *mutex) THREAD_ANNOTATION(no_thread_safety_analysis)
{
    must(pthread_mutex_lock(&mutex->handle), "mutex lock");
}

void mutex_unlock(struct mutex *mutex) THREAD_ANNOTATION(no_thread_safety_analysis)
{
    must(pthread_mutex_unlock(&mutex->handle), "mutex unlock");
}

void condition_init(struct condition *condition)
{
    pthread_condattr_t attributes;
    must(pthread_condattr_init(&attributes), "condition attributes");
    must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC), "condition clock");
    must(pthread_cond_init(&condition->handle, &attributes), "condition init");
    must(pthread_condattr_destroy(&attributes), "condition attributes");
}

void condition_done(struct condition *condition)
{
    must(pthread_cond_destroy(&condition->handle), "condition destroy");
}

void condition_wait(struct condition *condition, struct mutex *mutex)
{
    must(pthread_cond_wait(&condition->handle, &mutex->handle), "condition wait");
}

bool condition_wait_until(struct condition *condition, struct mutex *mutex, int64_t deadline_us)
{
    struct timespec deadline = {deadline_us / 1000000, deadline_us % 1000000 * 1000};
    int error = pthread_cond_timedwait(&condition->handle, &mutex->handle, &deadline);
    if (error == ETIMEDOUT)
        return false;
    must(error, "condition timed wait");
    return true;
}

void condition_signal(struct condition *condition)
{
    must(pthread_cond_signal(&condition->handle), "condition signal");
}

void condition_broadcast(struct condition *condition)
{
    must(pthread_cond_broadcast(&condition->handle), "condition broadcast");
}

/* What a fresh thread needs to begin. */
struct beginning {
    char name[16];
    void *(*body)(void *);
    void *argument;
};

static void *begin(void *argument)
{
    struct beginning beginning = *(struct beginning *)argument;

    free(argument);
    /* From inside: seen from outside, a thread may be over before it has its name. */
    must(pthread_setname_np(pthread_self(), beginning.name), "name thread");
    return beginning.body(beginning.argument);
}

void thread_start(pthread_t *thread, const char *name, void *(*body)(void *), void *argument)
{
    struct beginning *beginning = memory_take(sizeof *beginning);
    sigset_t all, before;

    *beginning = (struct beginning){.body = body, .argument = argument};
    snprintf(beginning->name, sizeof beginning->name, "%s", name);
    sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &before), "block signals");
    must(pthread_create(thread, NULL, begin, beginning), "create thread");
    must(pthread_sigmask(SIG_SETMASK, &before, NULL), "restore signals");
}

void thread_join(pthread_t thread)
{
    must(pthread_join(thread, NULL), "join thread");
}
