/* A small pool of threads for the work inside one call of a program.
 *
 * The calling thread always works too, and takes every part that no other thread has begun: a worker that
 * sleeps, or whose core is busy with something else, costs nothing but its help. Workers spin for a moment
 * after their work, since the next call is near, then sleep. A second caller at the same time does its work
 * alone. A forked child has no workers; it starts its own when it needs them. On Windows the caller works alone.
 */
#ifndef FASTBP_POOL_H
#define FASTBP_POOL_H

#include "abi.h"
#include "fpcontrol.h"

enum { FASTBP_MAX_THREADS = 256 };

/* Exported: threadpoolctl knows the library by these names. */
#if defined(_WIN32)
#define FASTBP_EXPORT __declspec(dllexport)
#else
#define FASTBP_EXPORT __attribute__((visibility("default")))
#endif

#if defined(_WIN32)

FASTBP_EXPORT int fastbp_get_num_threads(void) { return 1; }
FASTBP_EXPORT void fastbp_set_num_threads(int n) { (void)n; }

static void fastbp_pool_run(void (*task)(void *, int, int), void *context, int parts) {
    for (int i = 0; i < parts; i++) task(context, i, parts);
}

#else

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static atomic_int fastbp_pool_limit = 1;

FASTBP_EXPORT int fastbp_get_num_threads(void) { return atomic_load(&fastbp_pool_limit); }

FASTBP_EXPORT void fastbp_set_num_threads(int n) {
    atomic_store(&fastbp_pool_limit, n < 1 ? 1 : n > FASTBP_MAX_THREADS ? FASTBP_MAX_THREADS : n);
}

enum { FASTBP_SPINS = 4096 /* pauses: some 50 to 100 us */ };

static struct {
    void (*task)(void *context, int part, int parts);
    void *context;
    int parts;
    atomic_int next, finished; /* parts that were taken, and that are done */
    atomic_int open, inside;   /* whether there is work, and how many workers may be looking at it */
    atomic_int generation, sleeping;
    int workers;
    pthread_mutex_t owner, lock;
    pthread_cond_t wake;
} fastbp_pool_state = {.owner = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER,
                       .wake = PTHREAD_COND_INITIALIZER};

static inline void fastbp_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* Before another look at what a worker will change; it may have lost its core, then it needs this one. */
static inline void fastbp_pool_wait(unsigned looks) {
    if (looks < FASTBP_SPINS)
        fastbp_pause();
    else
        sched_yield();
}

static void fastbp_pool_work(void) {
    int part;
    while ((part = atomic_fetch_add(&fastbp_pool_state.next, 1)) < fastbp_pool_state.parts) {
        fastbp_pool_state.task(fastbp_pool_state.context, part, fastbp_pool_state.parts);
        atomic_fetch_add(&fastbp_pool_state.finished, 1);
    }
}

static int fastbp_pool_await(int seen) {
    for (int i = 0; i < FASTBP_SPINS; i++) {
        if (atomic_load(&fastbp_pool_state.generation) != seen) return atomic_load(&fastbp_pool_state.generation);
        fastbp_pause();
    }
    pthread_mutex_lock(&fastbp_pool_state.lock);
    atomic_fetch_add(&fastbp_pool_state.sleeping, 1);
    while (atomic_load(&fastbp_pool_state.generation) == seen)
        pthread_cond_wait(&fastbp_pool_state.wake, &fastbp_pool_state.lock);
    atomic_fetch_sub(&fastbp_pool_state.sleeping, 1);
    pthread_mutex_unlock(&fastbp_pool_state.lock);
    return atomic_load(&fastbp_pool_state.generation);
}

static void *fastbp_pool_worker(void *number) {
    int seen = 0;
    fastbp_set_control(FASTBP_IEEE); /* a thread begins with the word of its maker, who may call kernels from C */
    for (;;) {
        seen = fastbp_pool_await(seen);
        atomic_fetch_add(&fastbp_pool_state.inside, 1);
        if (atomic_load(&fastbp_pool_state.open) && (intptr_t)number < fastbp_get_num_threads()) fastbp_pool_work();
        atomic_fetch_sub(&fastbp_pool_state.inside, 1);
    }
    return NULL;
}

static void fastbp_pool_forked(void) {
    fastbp_pool_state.workers = 0;
    atomic_store(&fastbp_pool_state.generation, 0);
    atomic_store(&fastbp_pool_state.inside, 0);
    atomic_store(&fastbp_pool_state.open, 0);
    atomic_store(&fastbp_pool_state.sleeping, 0);
    pthread_mutex_init(&fastbp_pool_state.owner, NULL);
    pthread_mutex_init(&fastbp_pool_state.lock, NULL);
    pthread_cond_init(&fastbp_pool_state.wake, NULL);
}

static void fastbp_pool_start(void) {
    static int registered = 0;
    pthread_attr_t attributes;
    pthread_t thread;
    if (!registered) registered = pthread_atfork(NULL, NULL, fastbp_pool_forked) == 0;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, (size_t)1 << 20);
    while (registered && fastbp_pool_state.workers < fastbp_get_num_threads() - 1) {
        /* a thread that cannot be had is work for the others */
        if (pthread_create(&thread, &attributes, fastbp_pool_worker, (void *)(intptr_t)(fastbp_pool_state.workers + 1)))
            break;
        fastbp_pool_state.workers++;
    }
    pthread_attr_destroy(&attributes);
}

static void fastbp_pool_run(void (*task)(void *, int, int), void *context, int parts) {
    if (pthread_mutex_trylock(&fastbp_pool_state.owner) != 0) {
        for (int i = 0; i < parts; i++) task(context, i, parts);
        return;
    }
    if (fastbp_pool_state.workers < fastbp_get_num_threads() - 1) fastbp_pool_start();
    for (unsigned i = 0; atomic_load(&fastbp_pool_state.inside) != 0; i++) fastbp_pool_wait(i);
    fastbp_pool_state.task = task;
    fastbp_pool_state.context = context;
    fastbp_pool_state.parts = parts;
    atomic_store(&fastbp_pool_state.next, 0);
    atomic_store(&fastbp_pool_state.finished, 0);
    atomic_store(&fastbp_pool_state.open, 1);
    atomic_fetch_add(&fastbp_pool_state.generation, 1);
    if (atomic_load(&fastbp_pool_state.sleeping)) {
        pthread_mutex_lock(&fastbp_pool_state.lock);
        pthread_cond_broadcast(&fastbp_pool_state.wake);
        pthread_mutex_unlock(&fastbp_pool_state.lock);
    }
    fastbp_pool_work();
    for (unsigned i = 0; atomic_load(&fastbp_pool_state.finished) < parts; i++) fastbp_pool_wait(i);
    atomic_store(&fastbp_pool_state.open, 0);
    pthread_mutex_unlock(&fastbp_pool_state.owner);
}

#endif

static const fastbp_pool fastbp_pool_table = {fastbp_get_num_threads, fastbp_pool_run};

#endif
