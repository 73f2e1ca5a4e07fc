/* beanstalkd: no order of a user. A job is deleted when it is done; reservations and deletions are
 * sent a window at a time where a backlog is worked off. */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct link {
    FILE *in, *out;
};

static void *connect_beanstalkd(const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct link *link = malloc(sizeof *link);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    if (!link || fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        peer_fail("beanstalkd", "does not listen");
    link->in = fdopen(fd, "r");
    link->out = fdopen(dup(fd), "w");
    if (!link->in || !link->out)
        peer_fail("beanstalkd", "no stream");
    return link;
}

/* The line lives until the next. */
static const char *answer(struct link *link, const char *wanted)
{
    static _Thread_local char line[256];

    if (!fgets(line, sizeof line, link->in))
        peer_fail("beanstalkd", "has gone");
    return strncmp(line, wanted, strlen(wanted)) == 0 ? line : NULL;
}

static void put(struct link *link, const char *job, size_t size)
{
    fprintf(link->out, "put 0 0 60 %zu\r\n%s\r\n", size, job);
}

static void add(void *link, const char *job, size_t size)
{
    put(link, job, size);
    fflush(((struct link *)link)->out);
    if (!answer(link, "INSERTED"))
        peer_fail("put", "refused");
}

static void add_all(void *link, const char (*jobs)[PEER_JOB_BYTES], size_t count)
{
    for (size_t i = 0; i < count; i++)
        put(link, jobs[i], strlen(jobs[i]));
    fflush(((struct link *)link)->out);
    for (size_t i = 0; i < count; i++)
        if (!answer(link, "INSERTED"))
            peer_fail("put", "refused");
}

static bool work(void *argument, bool waits)
{
    struct link *link = argument;
    const size_t window = waits ? 1 : PEER_WINDOW;
    unsigned long ids[PEER_WINDOW];
    size_t count = 0;

    for (size_t i = 0; i < window; i++)
        fputs(waits ? "reserve-with-timeout 5\r\n" : "reserve-with-timeout 0\r\n", link->out);
    fflush(link->out);
    for (size_t i = 0; i < window; i++) {
        const char *line = answer(link, "RESERVED ");
        char job[PEER_JOB_BYTES + 2], *rest;
        if (!line)
            continue;
        ids[count++] = strtoul(line + 9, &rest, 10);
        size_t size = strtoul(rest, NULL, 10);
        if (size > PEER_JOB_BYTES || fread(job, 1, size + 2, link->in) != size + 2)
            peer_fail("reserve", "a job is cut");
        peer_note(job);
    }
    for (size_t i = 0; i < count; i++)
        fprintf(link->out, "delete %lu\r\n", ids[i]);
    fflush(link->out);
    for (size_t i = 0; i < count; i++)
        if (!answer(link, "DELETED"))
            peer_fail("delete", "refused");
    return count > 0;
}

int main(int argc, char **argv)
{
    static const struct peer beanstalkd = {
        .connect = connect_beanstalkd,
        .add = add,
        .add_all = add_all,
        .work = work,
        .workers_max = 4,
    };
    return peer_compete(&beanstalkd, argc, argv);
}
