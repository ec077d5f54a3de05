/* Memory of each thread's own for what a small stack cannot hold: musl gives a thread 128 KiB. */
#ifndef FASTBP_SCRATCH_H
#define FASTBP_SCRATCH_H

#include <stdint.h>
#include <stdlib.h>

typedef struct {
    size_t size;
    char *memory;
} fastbp_scratch_block;

#if defined(_WIN32)
#include <malloc.h>

static fastbp_scratch_block *fastbp_scratch_of_thread(void) {
    static _Thread_local fastbp_scratch_block block; /* its memory outlives the thread: no key here frees it */
    return &block;
}

static void *fastbp_aligned(size_t size) { return _aligned_malloc(size, 64); }
static void fastbp_free_aligned(void *memory) { _aligned_free(memory); }

#else
#include <pthread.h>

static pthread_once_t fastbp_scratch_once = PTHREAD_ONCE_INIT;
static pthread_key_t fastbp_scratch_key;
static int fastbp_scratch_ready;

static void fastbp_scratch_free(void *block) {
    free(((fastbp_scratch_block *)block)->memory);
    free(block);
}

static void fastbp_scratch_prepare(void) {
    fastbp_scratch_ready = pthread_key_create(&fastbp_scratch_key, fastbp_scratch_free) == 0;
}

static fastbp_scratch_block *fastbp_scratch_of_thread(void) {
    fastbp_scratch_block *block;
    pthread_once(&fastbp_scratch_once, fastbp_scratch_prepare);
    if (!fastbp_scratch_ready) return NULL;
    if ((block = (fastbp_scratch_block *)pthread_getspecific(fastbp_scratch_key))) return block;
    if (!(block = (fastbp_scratch_block *)calloc(1, sizeof *block))) return NULL;
    if (pthread_setspecific(fastbp_scratch_key, block) == 0) return block;
    free(block);
    return NULL;
}

static void *fastbp_aligned(size_t size) {
    void *memory;
    return posix_memalign(&memory, 64, size) == 0 ? memory : NULL;
}

static void fastbp_free_aligned(void *memory) { free(memory); }
#endif

/* The thread's memory, `size` bytes or more: got when first asked for, or for more, freed when the thread ends. What was
 * in it may be lost. NULL if there is none. */
static void *fastbp_scratch(size_t size) {
    fastbp_scratch_block *block = fastbp_scratch_of_thread();
    if (!block) return NULL;
    if (block->size >= size) return block->memory;
    fastbp_free_aligned(block->memory);
    block->memory = (char *)fastbp_aligned(size);
    block->size = block->memory ? size : 0;
    return block->memory;
}

#endif
