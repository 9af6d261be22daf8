/* The wall clock of one process, steppable from outside: the file CLOCK_STEPS/<pid> holds what to add, in nanoseconds. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t none;
static volatile int64_t *step = &none;

__attribute__((constructor)) static void open_step(void) {
    const char *folder = getenv("CLOCK_STEPS");
    char path[4096];
    if (!folder || snprintf(path, sizeof path, "%s/%d", folder, getpid()) >= (int)sizeof path) return;
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) return;
    if (ftruncate(file, sizeof none) == 0) {
        void *shared = mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, file, 0);
        if (shared != MAP_FAILED) step = shared;
    }
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    int status = (int)syscall(SYS_clock_gettime, clock, at);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t all = (int64_t)at->tv_sec * 1000000000 + at->tv_nsec + *step;
        at->tv_sec = all / 1000000000;
        at->tv_nsec = all % 1000000000;
    }
    return status;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec fine;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &fine)) return -1;
    at->tv_sec = fine.tv_sec;
    at->tv_usec = fine.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec fine;
    clock_gettime(CLOCK_REALTIME, &fine);
    if (out) *out = fine.tv_sec;
    return fine.tv_sec;
}
