/* Memory of each thread's own for what a small stack cannot hold: musl gives a thread 128 KiB. */
#ifndef FASTBP_SCRATCH_H
#define FASTBP_SCRATCH_H

#if !defined(_WIN32) /* where no stack is small */
#include <pthread.h>
#include <stdlib.h>

static pthread_once_t fastbp_scratch_once = PTHREAD_ONCE_INIT;
static pthread_key_t fastbp_scratch_key;
static int fastbp_scratch_ready;

static void fastbp_scratch_prepare(void) {
    fastbp_scratch_ready = pthread_key_create(&fastbp_scratch_key, free) == 0;
}

/* The thread's memory, always of one size: got when first asked for, freed when the thread ends. NULL if there is none. */
static void *fastbp_scratch(size_t size) {
    void *memory;
    pthread_once(&fastbp_scratch_once, fastbp_scratch_prepare);
    if (!fastbp_scratch_ready) return NULL;
    if ((memory = pthread_getspecific(fastbp_scratch_key))) return memory;
    if (posix_memalign(&memory, 64, size) != 0) return NULL;
    if (pthread_setspecific(fastbp_scratch_key, memory) == 0) return memory;
    free(memory);
    return NULL;
}
#endif

#endif
