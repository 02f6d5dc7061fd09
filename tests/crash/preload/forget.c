/*
 * Remembers what a program has synced, so that a power loss can be played after it was
 * killed. Loaded with LD_PRELOAD; FORGET_ROOT names the directory it watches and
 * FORGET_SHADOW the one it writes to, on the same file system:
 *
 *   held/INODE    a hard link to each file that existed or was made: what was written
 *   synced/INODE  for files opened for writing: what was synced
 *   dirs/INODE    the entries of a directory when it was last synced: "d|f INODE NAME"
 *
 * The links also keep inode numbers from being used twice. Creation, rename and removal
 * need no hook: they are durable only as far as the listing of their directory is.
 * With FORGET_KILL_AT=N the program kills itself when it asks for its Nth sync, the worst
 * moment: everything since the last one is written and nothing of it synced.
 * Shared writable mappings are not modelled and end the program.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct range { off_t from, to; };

struct file {
    ino_t inode;
    struct range *dirty;
    size_t count, capacity;
    off_t cut; /* shortest length since the last sync; -1 = was not cut */
    struct file *next;
};

#define BUCKETS 1024
static struct file *files[BUCKETS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX], shadow[PATH_MAX];
static size_t root_len;
static dev_t device;
static long syncs_left = -1; /* until it kills itself; -1 = never */

static int (*real_openat)(int, const char *, int, ...);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fallocate)(int, int, off_t, off_t);
static ssize_t (*real_copy_file_range)(int, off_t *, int, off_t *, size_t, unsigned);
static ssize_t (*real_sendfile)(int, int, off_t *, size_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static void *(*real_mmap)(void *, size_t, int, int, int, off_t);

static void die(const char *what) {
    dprintf(2, "forget: %s: %s\n", what, strerror(errno));
    _exit(97);
}

__attribute__((constructor)) static void start(void) {
    *(void **)&real_openat = dlsym(RTLD_NEXT, "openat64");
    *(void **)&real_write = dlsym(RTLD_NEXT, "write");
    *(void **)&real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    *(void **)&real_writev = dlsym(RTLD_NEXT, "writev");
    *(void **)&real_pwritev = dlsym(RTLD_NEXT, "pwritev64");
    *(void **)&real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    *(void **)&real_fallocate = dlsym(RTLD_NEXT, "fallocate64");
    *(void **)&real_copy_file_range = dlsym(RTLD_NEXT, "copy_file_range");
    *(void **)&real_sendfile = dlsym(RTLD_NEXT, "sendfile64");
    *(void **)&real_fsync = dlsym(RTLD_NEXT, "fsync");
    *(void **)&real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    *(void **)&real_mmap = dlsym(RTLD_NEXT, "mmap64");
    const char *watched = getenv("FORGET_ROOT"), *kept = getenv("FORGET_SHADOW");
    struct stat stat_;
    if (!watched || !kept || !realpath(watched, root) || !realpath(kept, shadow) || stat(root, &stat_))
        die("FORGET_ROOT and FORGET_SHADOW must name directories");
    const char *kill_at = getenv("FORGET_KILL_AT");
    if (kill_at) syncs_left = atol(kill_at);
    root_len = strlen(root);
    device = stat_.st_dev;
}

static void in_shadow(char *path, const char *kind, ino_t inode, const char *suffix) {
    if (snprintf(path, PATH_MAX, "%s/%s/%llu%s", shadow, kind, (unsigned long long)inode, suffix) >= PATH_MAX)
        die("path too long");
}

/* Whether the descriptor is of a file or directory we watch. */
static int is_watched(int fd, struct stat *found) {
    char link[64], path[PATH_MAX];
    if (!root_len || fstat(fd, found) || found->st_dev != device) return 0;
    if (!S_ISREG(found->st_mode) && !S_ISDIR(found->st_mode)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < (ssize_t)root_len) return 0;
    path[len] = 0;
    return !strncmp(path, root, root_len) && (path[root_len] == '/' || !path[root_len]);
}

static struct file *find(ino_t inode) {
    struct file *file = files[inode % BUCKETS];
    while (file && file->inode != inode) file = file->next;
    return file;
}

static void copy_range(int from, int to, off_t at, off_t until) {
    static char buffer[1 << 16]; /* guarded by the lock */
    while (at < until) {
        size_t want = until - at < (off_t)sizeof buffer ? (size_t)(until - at) : sizeof buffer;
        ssize_t got = pread(from, buffer, want, at);
        if (got < 0) die("reading a watched file");
        if (!got) return;
        if (real_pwrite(to, buffer, got, at) != got) die("writing the shadow");
        at += got;
    }
}

/* A file from before this run: what it holds now was synced. */
static void copy_whole(int fd, ino_t inode, off_t size) {
    char path[PATH_MAX], whole[PATH_MAX];
    in_shadow(path, "synced", inode, ".part");
    in_shadow(whole, "synced", inode, "");
    int to = real_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (to < 0 || real_ftruncate(to, size)) die(path);
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    int from = real_openat(AT_FDCWD, self, O_RDONLY);
    if (from < 0) die(self);
    off_t at = 0;
    while ((at = lseek(from, at, SEEK_DATA)) >= 0 && at < size) {
        off_t until = lseek(from, at, SEEK_HOLE);
        copy_range(from, to, at, until);
        at = until;
    }
    close(from);
    close(to);
    if (rename(path, whole)) die(whole);
}

static void track(int fd, int is_cut) {
    struct stat found;
    int error = errno;
    if (is_watched(fd, &found) && S_ISREG(found.st_mode)) {
        pthread_mutex_lock(&lock);
        struct file *file = find(found.st_ino);
        if (!file) {
            char self[64], held[PATH_MAX];
            snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
            in_shadow(held, "held", found.st_ino, "");
            if (linkat(AT_FDCWD, self, AT_FDCWD, held, AT_SYMLINK_FOLLOW)) {
                if (errno != EEXIST) die(held);
                copy_whole(fd, found.st_ino, found.st_size);
            }
            file = calloc(1, sizeof *file);
            if (!file) die("memory");
            file->inode = found.st_ino;
            file->cut = -1;
            file->next = files[file->inode % BUCKETS];
            files[file->inode % BUCKETS] = file;
        }
        if (is_cut) file->cut = 0;
        pthread_mutex_unlock(&lock);
    }
    errno = error;
}

static int do_open(int at, const char *path, int flags, mode_t mode) {
    if (!real_openat) start();
    int is_written = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT);
    if (is_written && (flags & O_TRUNC)) {
        int error = errno;
        int before = real_openat(at, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (before >= 0) {
            track(before, 0);
            close(before);
        }
        errno = error;
    }
    int fd = real_openat(at, path, flags, mode);
    if (fd >= 0 && is_written) track(fd, flags & O_TRUNC);
    return fd;
}

#define MODE(flags, mode) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) { MODE(flags, mode) return do_open(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags, mode) return do_open(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags, mode) return do_open(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags, mode) return do_open(at, path, flags, mode); }
int creat(const char *path, mode_t mode) { return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* Called after a write, so that a sync that starts later finds it. */
static void changed(int fd, off_t from, ssize_t len, int is_cut) {
    struct stat found;
    int error = errno;
    if (fstat(fd, &found) || !S_ISREG(found.st_mode) || found.st_dev != device) { errno = error; return; }
    pthread_mutex_lock(&lock);
    struct file *file = find(found.st_ino);
    if (file && is_cut) {
        if (file->cut < 0 || from < file->cut) file->cut = from;
    } else if (file) {
        struct range *last = file->count ? &file->dirty[file->count - 1] : NULL;
        if (last && last->to == from) {
            last->to += len;
        } else {
            if (file->count == file->capacity) {
                file->capacity = file->capacity ? 2 * file->capacity : 16;
                file->dirty = realloc(file->dirty, file->capacity * sizeof *file->dirty);
                if (!file->dirty) die("memory");
            }
            file->dirty[file->count++] = (struct range){from, from + len};
        }
    }
    pthread_mutex_unlock(&lock);
    errno = error;
}

/* Where a write of `len` bytes at the descriptor's position has just ended. */
static void advanced(int fd, ssize_t len) {
    if (len <= 0) return;
    int error = errno;
    off_t now = lseek(fd, 0, SEEK_CUR);
    errno = error;
    if (now >= len) changed(fd, now - len, len, 0);
}

ssize_t write(int fd, const void *data, size_t len) {
    if (!real_write) start();
    ssize_t done = real_write(fd, data, len);
    advanced(fd, done);
    return done;
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    ssize_t done = real_writev(fd, parts, count);
    advanced(fd, done);
    return done;
}
ssize_t pwrite64(int fd, const void *data, size_t len, off_t at) {
    ssize_t done = real_pwrite(fd, data, len, at);
    if (done > 0) changed(fd, at, done, 0);
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t len, off_t at) { return pwrite64(fd, data, len, at); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) {
    ssize_t done = real_pwritev(fd, parts, count, at);
    if (done > 0) changed(fd, at, done, 0);
    return done;
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return pwritev64(fd, parts, count, at); }
ssize_t copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t len, unsigned flags) {
    ssize_t done = real_copy_file_range(from, from_at, to, to_at, len, flags);
    if (done > 0 && to_at) changed(to, *to_at - done, done, 0);
    else advanced(to, done);
    return done;
}
ssize_t sendfile64(int to, int from, off_t *at, size_t len) {
    ssize_t done = real_sendfile(to, from, at, len);
    advanced(to, done);
    return done;
}
ssize_t sendfile(int to, int from, off_t *at, size_t len) { return sendfile64(to, from, at, len); }
int ftruncate64(int fd, off_t len) {
    int outcome = real_ftruncate(fd, len);
    if (!outcome) changed(fd, len, 0, 1);
    return outcome;
}
int ftruncate(int fd, off_t len) { return ftruncate64(fd, len); }
int fallocate64(int fd, int mode, off_t at, off_t len) {
    int outcome = real_fallocate(fd, mode, at, len);
    if (!outcome) changed(fd, at, len, 0);
    return outcome;
}
int fallocate(int fd, int mode, off_t at, off_t len) { return fallocate64(fd, mode, at, len); }

void *mmap64(void *at, size_t len, int protection, int flags, int fd, off_t offset) {
    struct stat found;
    if (!real_mmap) *(void **)&real_mmap = dlsym(RTLD_NEXT, "mmap64");
    if (fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE) && is_watched(fd, &found)) {
        errno = ENOTSUP;
        die("a shared writable mapping of a watched file is not modelled");
    }
    return real_mmap(at, len, protection, flags, fd, offset);
}
void *mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset) {
    return mmap64(at, len, protection, flags, fd, offset);
}

static void remember_directory(int fd, ino_t inode) {
    char part[PATH_MAX], whole[PATH_MAX], self[64];
    static unsigned count; /* two threads may sync one directory */
    char suffix[32];
    snprintf(suffix, sizeof suffix, ".part%u", __sync_fetch_and_add(&count, 1));
    in_shadow(part, "dirs", inode, suffix);
    in_shadow(whole, "dirs", inode, "");
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    DIR *directory = opendir(self);
    int to = real_openat(AT_FDCWD, part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (!directory || to < 0) die(part);
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        dprintf(to, "%c %llu %s\n", entry->d_type == DT_DIR ? 'd' : 'f', (unsigned long long)entry->d_ino, entry->d_name);
    }
    closedir(directory);
    close(to);
    if (rename(part, whole)) die(whole);
}

static void remember(int fd) {
    struct stat found;
    if (!is_watched(fd, &found)) return;
    pthread_mutex_lock(&lock); /* also: nobody's sync returns before another's is remembered */
    if (S_ISDIR(found.st_mode)) {
        remember_directory(fd, found.st_ino);
    } else {
        struct file *file = find(found.st_ino);
        if (file) {
            char path[PATH_MAX], self[64];
            in_shadow(path, "synced", file->inode, "");
            snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
            int to = real_openat(AT_FDCWD, path, O_WRONLY | O_CREAT, 0600);
            int from = real_openat(AT_FDCWD, self, O_RDONLY);
            struct stat now;
            if (to < 0 || from < 0 || fstat(fd, &now)) die(path);
            if (file->cut >= 0) {
                struct stat before;
                if (fstat(to, &before) || (before.st_size > file->cut && real_ftruncate(to, file->cut))) die(path);
            }
            for (size_t i = 0; i < file->count; i++) copy_range(from, to, file->dirty[i].from, file->dirty[i].to);
            if (real_ftruncate(to, now.st_size)) die(path);
            close(from);
            close(to);
            file->count = 0;
            file->cut = -1;
        }
    }
    pthread_mutex_unlock(&lock);
}

static void count_sync(int fd) {
    struct stat found;
    if (syncs_left > 0 && is_watched(fd, &found) && !__sync_sub_and_fetch(&syncs_left, 1)) kill(getpid(), SIGKILL);
}

int fsync(int fd) {
    count_sync(fd);
    int outcome = real_fsync(fd);
    if (!outcome) remember(fd);
    return outcome;
}
int fdatasync(int fd) {
    count_sync(fd);
    int outcome = real_fdatasync(fd);
    if (!outcome) remember(fd);
    return outcome;
}
