/* See board.h. */
#include "engine/board.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

static size_t size_for(int slot_count);
static void note_crash(int number);

static _Thread_local struct board *watched_board;
static _Thread_local int watched_number;

/* Host and pid are for people; the random part makes it unique. */
void incarnation_name(char *name, size_t size)
{
    uint64_t salt;
    char host[65] = "";

    if (getrandom(&salt, sizeof salt, 0) != sizeof salt)
        abort();
    gethostname(host, sizeof host - 1);
    snprintf(name, size, "%s-%d-%016llx", host, (int)getpid(), (unsigned long long)salt);
}

struct board *board_new(int slot_count)
{
    struct board *board =
        mmap(NULL, size_for(slot_count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return NULL;
    board->slot_count = slot_count;
    board_reset(board, "");
    return board;
}

void board_free(struct board *board)
{
    if (board)
        munmap(board, size_for(board->slot_count));
}

void board_reset(struct board *board, const char *incarnation)
{
    snprintf(board->incarnation, sizeof board->incarnation, "%s", incarnation);
    atomic_store(&board->is_ready, false);
    atomic_store(&board->crashed, BOARD_NO_SLOT);
    for (int i = 0; i < board->slot_count; i++)
        atomic_store(&board->slots[i].is_busy, false), board->slots[i].count = 0;
}

void board_add(struct board_slot *slot, unsigned partition, struct heddle_text lane, const char *id)
{
    if (!slot || slot->count == BOARD_LANES_MAX)
        return;
    struct board_lane *entry = &slot->lanes[slot->count++];
    entry->partition = partition;
    memcpy(entry->id, id, sizeof entry->id);
    memcpy(entry->name, lane.data, lane.size);
    entry->name[lane.size] = '\0';
}

void board_enter(struct board_slot *slot)
{
    if (!slot)
        return;
    atomic_store_explicit(&slot->pointed, BOARD_ALL, memory_order_relaxed);
    atomic_store_explicit(&slot->is_busy, true, memory_order_release);
}

void board_point(struct board_slot *slot, int lane, const char *id)
{
    if (!slot)
        return;
    if (lane != BOARD_ALL)
        memcpy(slot->lanes[lane].id, id, sizeof slot->lanes[lane].id);
    atomic_store_explicit(&slot->pointed, lane, memory_order_release);
}

void board_leave(struct board_slot *slot)
{
    if (!slot)
        return;
    atomic_store_explicit(&slot->is_busy, false, memory_order_release);
    slot->count = 0;
}

void board_watch(struct board *board, int number, void *stack)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    struct sigaction action = {.sa_handler = note_crash, .sa_flags = SA_ONSTACK};
    const stack_t alternative = {.ss_sp = stack, .ss_size = BOARD_STACK_BYTES};
    sigset_t set;

    watched_board = board;
    watched_number = number;
    sigaltstack(&alternative, NULL);
    sigemptyset(&action.sa_mask);
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++) {
        sigaction(crashes[i], &action, NULL);
        sigaddset(&set, crashes[i]);
    }
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void board_unwatch(void)
{
    const stack_t none = {.ss_flags = SS_DISABLE};

    watched_board = NULL;
    sigaltstack(&none, NULL);
}

static size_t size_for(int slot_count)
{
    return sizeof(struct board) + (size_t)slot_count * sizeof(struct board_slot);
}

/* Only what is safe in a signal handler; then the process dies of the signal as it would have. */
static void note_crash(int number)
{
    if (watched_board)
        atomic_store(&watched_board->crashed, watched_number);
    signal(number, SIG_DFL);
    raise(number);
}
