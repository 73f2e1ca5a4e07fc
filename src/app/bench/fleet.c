/* See fleet.h. */
#include "app/bench/fleet.h"

#include "app/bench/tally.h"
#include "app/options.h"
#include "app/run_child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/board.h"
#include "engine/supervisor.h"

static void supervise(struct fleet *fleet) __attribute__((noreturn));
static int processor_main(void *argument, struct board *board, bool is_quarantine);

heddle_status fleet_start(struct fleet *fleet, struct heddle_error *err)
{
    const pid_t parent = getpid();

    fflush(stdout);
    fflush(stderr);
    fleet->supervisor = fork();
    if (fleet->supervisor < 0) {
        fleet->supervisor = 0;
        return heddle_fail(err, HEDDLE_PERMANENT, "fork", "%s", strerror(errno));
    }
    if (fleet->supervisor > 0)
        return HEDDLE_OK;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(EXIT_DONE);
    supervise(fleet);
}

void fleet_go(const struct fleet *fleet)
{
    if (fleet->supervisor > 0)
        kill(fleet->supervisor, SIGCONT);
}

bool fleet_is_alive(struct fleet *fleet)
{
    if (fleet->supervisor > 0 && waitpid(fleet->supervisor, NULL, WNOHANG) != 0)
        fleet->supervisor = 0;
    return fleet->supervisor > 0;
}

bool fleet_stop(struct fleet *fleet)
{
    int wait_status = 0;

    if (!fleet_is_alive(fleet))
        return true;
    kill(fleet->supervisor, SIGTERM);
    pid_t ended = waitpid(fleet->supervisor, &wait_status, 0);
    bool is_clean = ended == fleet->supervisor && WIFEXITED(wait_status) &&
                    WEXITSTATUS(wait_status) == EXIT_DONE;
    fleet->supervisor = 0;
    return is_clean;
}

static void supervise(struct fleet *fleet)
{
    struct supervisor_options options = run_supervision(fleet->invocation);

    options.child = processor_main;
    options.argument = fleet;
    _exit(supervisor_run(&options));
}

static int processor_main(void *argument, struct board *board, bool is_quarantine)
{
    const struct fleet *fleet = argument;

    if (fleet->is_quiet)
        atomic_store(&board->is_quiet, true);
    if (!is_quarantine)
        tally_join(fleet->tally);
    return (int)run_child(fleet->invocation, tally_handlers(), NULL, board, is_quarantine);
}
