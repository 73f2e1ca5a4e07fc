/* The listener: hears what a processor that drains is told: the fetcher, who hears it otherwise,
 * has ended. What is to be cancelled is, and who asks how it does has an answer (wakes.h). */
#ifndef ENGINE_LISTENER_H
#define ENGINE_LISTENER_H

struct listener;
struct reporter;
struct wakes;
struct watchdog;

/* Starts its thread, to which the wakes belong until listener_stop; the others outlive it. */
struct listener *listener_start(struct wakes *wakes, struct watchdog *watchdog,
                                struct reporter *reporter);

/* Ends the thread and frees it. */
void listener_stop(struct listener *listener);

#endif
