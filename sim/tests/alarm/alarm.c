/*
 * Stands between a program and its operating system's clock and randomness (LD_PRELOAD), for two
 * purposes.
 *
 * It lies, where ALARM_LIES holds a number: the clock jumps ahead by up to an hour each time it is
 * read, the date is anywhere within decades, and random bytes follow from the number. A run that
 * does the same under different lies has nothing of what was asked for in it.
 *
 * It takes note of who asks: at the end it writes to the file of ALARM_CALLS, for each way on which
 * the program came to ask, how often, what for, and the return addresses from the inside out, as
 * they are in the program's file.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define FRAMES_MAX 32
#define WAYS_MAX 8192
#define HOUR_NANOS 3600000000000ull
#define SECOND_NANOS 1000000000ull

struct way {
    const char *asked;
    unsigned long count;
    int frames;
    void *frame[FRAMES_MAX];
};

static struct way ways[WAYS_MAX];
static int ways_count;
static atomic_flag ways_busy = ATOMIC_FLAG_INIT;

static int lies;
static uint64_t lies_seed;
static atomic_ullong lies_told;
static atomic_ullong uptime_nanos;

/* What the unwinder itself asks for is nobody's business. */
static _Thread_local int is_noting;

static long (*real_syscall)(long, ...);

static uint64_t next_lie(void)
{
    /* SplitMix64, by Sebastiano Vigna. */
    uint64_t x = lies_seed + 0x9e3779b97f4a7c15ull * (atomic_fetch_add(&lies_told, 1) + 1);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static int is_same(const struct way *way, const char *asked, int frames, void *const *frame)
{
    return way->asked == asked && way->frames == frames
        && memcmp(way->frame, frame, (size_t)frames * sizeof *frame) == 0;
}

static void note(const char *asked)
{
    void *frame[FRAMES_MAX];
    int place = 0;
    if (is_noting)
        return;
    is_noting = 1;
    int frames = backtrace(frame, FRAMES_MAX);
    while (atomic_flag_test_and_set(&ways_busy))
        ;
    while (place < ways_count && !is_same(&ways[place], asked, frames, frame))
        place++;
    if (place == WAYS_MAX) {
        fprintf(stderr, "alarm: more than %d ways to ask the system\n", WAYS_MAX);
        abort();
    }
    if (place == ways_count) {
        ways[place].asked = asked;
        ways[place].frames = frames;
        memcpy(ways[place].frame, frame, sizeof frame);
        ways_count++;
    }
    ways[place].count++;
    atomic_flag_clear(&ways_busy);
    is_noting = 0;
}

static int is_randomness(const char *path)
{
    return path != NULL
        && (strcmp(path, "/dev/urandom") == 0 || strcmp(path, "/dev/random") == 0
            || strncmp(path, "/proc/sys/kernel/random", 23) == 0);
}

static uint64_t moment(clockid_t clock)
{
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI)
        return (1000000000ull + next_lie() % 1000000000ull) * SECOND_NANOS + next_lie() % SECOND_NANOS;
    uint64_t step = next_lie() % HOUR_NANOS;
    return atomic_fetch_add(&uptime_nanos, step) + step;
}

static int read_clock(clockid_t clock, struct timespec *time)
{
    if (!lies)
        return (int)real_syscall(SYS_clock_gettime, clock, time);
    uint64_t nanos = moment(clock);
    time->tv_sec = (time_t)(nanos / SECOND_NANOS);
    time->tv_nsec = (long)(nanos % SECOND_NANOS);
    return 0;
}

static ssize_t draw(void *buffer, size_t length, unsigned flags)
{
    if (!lies)
        return (ssize_t)real_syscall(SYS_getrandom, buffer, length, flags);
    for (size_t place = 0; place < length; place++)
        ((unsigned char *)buffer)[place] = (unsigned char)next_lie();
    return (ssize_t)length;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    note("clock_gettime");
    return read_clock(clock, time);
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    struct timespec exact;
    (void)zone;
    note("gettimeofday");
    int result = read_clock(CLOCK_REALTIME, &exact);
    time->tv_sec = exact.tv_sec;
    time->tv_usec = exact.tv_nsec / 1000;
    return result;
}

time_t time(time_t *time)
{
    struct timespec exact;
    note("time");
    read_clock(CLOCK_REALTIME, &exact);
    if (time != NULL)
        *time = exact.tv_sec;
    return exact.tv_sec;
}

ssize_t getrandom(void *buffer, size_t length, unsigned flags)
{
    note("getrandom");
    return draw(buffer, length, flags);
}

int getentropy(void *buffer, size_t length)
{
    note("getentropy");
    return draw(buffer, length, 0) == (ssize_t)length ? 0 : -1;
}

/* The same without the library's functions. */
long syscall(long number, ...)
{
    long a[6];
    va_list list;
    va_start(list, number);
    for (int place = 0; place < 6; place++)
        a[place] = va_arg(list, long);
    va_end(list);
    if (number == SYS_getrandom) {
        note("getrandom");
        return draw((void *)a[0], (size_t)a[1], (unsigned)a[2]);
    }
    if (number == SYS_clock_gettime) {
        note("clock_gettime");
        return read_clock((clockid_t)a[0], (struct timespec *)a[1]);
    }
    return real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static int open_file(int folder, const char *path, int flags, va_list list)
{
    int has_mode = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
    int mode = has_mode ? va_arg(list, int) : 0;
    if (is_randomness(path))
        note("open");
    return (int)real_syscall(SYS_openat, folder, path, flags, mode);
}

/* All of them take the mode of a new file behind the rest. */
#define OPENS(folder)                                                                              \
    {                                                                                              \
        va_list list;                                                                              \
        va_start(list, flags);                                                                     \
        int file = open_file(folder, path, flags, list);                                           \
        va_end(list);                                                                              \
        return file;                                                                               \
    }

int open(const char *path, int flags, ...) OPENS(AT_FDCWD)
int open64(const char *path, int flags, ...) OPENS(AT_FDCWD)
int openat(int folder, const char *path, int flags, ...) OPENS(folder)
int openat64(int folder, const char *path, int flags, ...) OPENS(folder)

__attribute__((constructor)) static void begin(void)
{
    void *frame[1];
    const char *seed = getenv("ALARM_LIES");
    *(void **)&real_syscall = dlsym(RTLD_NEXT, "syscall");
    if (seed != NULL) {
        lies = 1;
        lies_seed = strtoull(seed, NULL, 10);
    }
    /* The first one loads the unwinder. */
    is_noting = 1;
    backtrace(frame, 1);
    is_noting = 0;
}

struct program {
    uintptr_t from, to, moved;
};

static int find_program(struct dl_phdr_info *info, size_t size, void *found)
{
    struct program *program = found;
    (void)size;
    program->moved = info->dlpi_addr;
    for (int place = 0; place < info->dlpi_phnum; place++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[place];
        if (part->p_type != PT_LOAD || (part->p_flags & PF_X) == 0)
            continue;
        program->from = info->dlpi_addr + part->p_vaddr;
        program->to = program->from + part->p_memsz;
    }
    /* The program itself comes first. */
    return 1;
}

__attribute__((destructor)) static void end(void)
{
    struct program program = {0};
    const char *path = getenv("ALARM_CALLS");
    is_noting = 1;
    if (path == NULL)
        return;
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return;
    dl_iterate_phdr(find_program, &program);
    for (int place = 0; place < ways_count; place++) {
        const struct way *way = &ways[place];
        fprintf(file, "%lu %s", way->count, way->asked);
        for (int depth = 0; depth < way->frames; depth++) {
            uintptr_t at = (uintptr_t)way->frame[depth];
            if (program.from <= at && at < program.to)
                fprintf(file, " %#lx", (unsigned long)(at - program.moved - 1));
        }
        fprintf(file, "\n");
    }
    /* Where this is missing, the account is not whole. */
    fprintf(file, "end\n");
    fclose(file);
}
