/* What a disk and a kernel can do to a program, done to one folder on purpose. Loaded with LD_PRELOAD, asleep until shim_begin.
 *
 * Every change of a file or name below the folder is one operation, numbered from 1. The shim can
 *   kill   end the process by SIGKILL before operation number kill_at,
 *   fill   refuse writes with ENOSPC when `room` more bytes were written (shim_room gives room back),
 *   record write each operation to a log, with its content, so that a disk can be built as a power cut leaves it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[PATH_MAX];
static size_t root_length;
static int is_awake, log_fd = -1;
static long operations, kill_at;
static long long room = -1;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

void shim_begin(const char *folder, long kill_before, long long bytes_left, const char *log) {
  root_length = strlen(folder);
  memcpy(root, folder, root_length + 1);
  kill_at = kill_before;
  room = bytes_left;
  operations = 0;
  log_fd = log && *log ? REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
  is_awake = 1;
}
long shim_operations(void) { return operations; }
void shim_room(long long bytes) { room = bytes; }

static int is_mine(const char *path) {
  return is_awake && path && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static const char *whole(int folder, const char *path, char *into) {
  char link[64];
  if (!is_awake || !path) return path;
  if (*path == '/') return path;
  if (folder == AT_FDCWD) {
    if (!getcwd(into, PATH_MAX)) return path;
  } else {
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t n = readlink(link, into, PATH_MAX - 1);
    if (n < 0) return path;
    into[n] = 0;
  }
  size_t length = strlen(into);
  snprintf(into + length, PATH_MAX - length, "/%s", path);
  return into;
}

static const char *name_of(int fd, char *into) {
  char link[64];
  if (!is_awake) return NULL;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, into, PATH_MAX - 1);
  if (n < 0) return NULL;
  into[n] = 0;
  return into;
}

static uint64_t number_of(int fd) {
  struct stat told;
  return fstat(fd, &told) ? 0 : told.st_ino;
}

struct record {
  char what;
  uint64_t file;
  int64_t at;
  uint32_t first, second;
  uint64_t content;
} __attribute__((packed));

static void put(const void *from, size_t length) {
  while (length) {
    ssize_t n = REAL(write)(log_fd, from, length);
    if (n <= 0) abort();
    from = (const char *)from + n;
    length -= n;
  }
}

static void told(char what, uint64_t file, int64_t at, const char *first, const char *second, const void *content, size_t length) {
  if (log_fd < 0) return;
  struct record one = {what, file, at, first ? strlen(first) : 0, second ? strlen(second) : 0, length};
  put(&one, sizeof one);
  put(first, one.first);
  put(second, one.second);
  put(content, length);
}

void shim_mark(long number) {
  pthread_mutex_lock(&turn);
  told('M', 0, number, NULL, NULL, NULL, 0);
  pthread_mutex_unlock(&turn);
}

static void begin(void) {
  pthread_mutex_lock(&turn);
  if (++operations == kill_at) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }
}
static void end(void) {
  int kept = errno;
  pthread_mutex_unlock(&turn);
  errno = kept;
}

/* How many of so many bytes there is room for; -1 where none. */
static ssize_t fits(size_t length) {
  if (room < 0) return length;
  if (room == 0 && length) {
    errno = ENOSPC;
    return -1;
  }
  if ((long long)length > room) length = room;
  room -= length;
  return length;
}

static int opened(const char *name, int folder, const char *path, int flags, mode_t mode) {
  int (*next)(int, const char *, int, ...) = real(name);
  char into[PATH_MAX];
  const char *full = whole(folder, path, into);
  if (!is_mine(full) || !(flags & (O_CREAT | O_TRUNC)) || (flags & __O_TMPFILE) == __O_TMPFILE) return next(folder, path, flags, mode);
  begin();
  struct stat before;
  int was_there = !stat(full, &before);
  int fd = -1;
  if (!was_there && (flags & O_CREAT) && room == 0) errno = ENOSPC;
  else fd = next(folder, path, flags, mode);
  if (fd >= 0 && !was_there) told('C', number_of(fd), 0, full, NULL, NULL, 0);
  else if (fd >= 0 && (flags & O_TRUNC)) told('T', number_of(fd), 0, NULL, NULL, NULL, 0);
  end();
  return fd;
}

#define MODE                        \
  mode_t mode = 0;                  \
  if (flags & (O_CREAT | O_TMPFILE)) { \
    va_list more;                   \
    va_start(more, flags);          \
    mode = va_arg(more, mode_t);    \
    va_end(more);                   \
  }
int open(const char *path, int flags, ...) { MODE return opened("openat", AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return opened("openat64", AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE return opened("openat", folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE return opened("openat64", folder, path, flags, mode); }
int creat(const char *path, mode_t mode) { return opened("openat", AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return opened("openat64", AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

static int is_mine_fd(int fd) {
  char into[PATH_MAX];
  return is_awake && fd != log_fd && is_mine(name_of(fd, into));
}

ssize_t write(int fd, const void *content, size_t length) {
  if (!is_mine_fd(fd)) return REAL(write)(fd, content, length);
  begin();
  ssize_t n = fits(length);
  if (n >= 0) n = REAL(write)(fd, content, n);
  if (n > 0) told('W', number_of(fd), lseek(fd, 0, SEEK_CUR) - n, NULL, NULL, content, n);
  end();
  return n;
}
static ssize_t written_at(const char *name, int fd, const void *content, size_t length, off_t at) {
  ssize_t (*next)(int, const void *, size_t, off_t) = real(name);
  if (!is_mine_fd(fd)) return next(fd, content, length, at);
  begin();
  ssize_t n = fits(length);
  if (n >= 0) n = next(fd, content, n, at);
  if (n > 0) told('W', number_of(fd), at, NULL, NULL, content, n);
  end();
  return n;
}
ssize_t pwrite(int fd, const void *content, size_t length, off_t at) { return written_at("pwrite", fd, content, length, at); }
ssize_t pwrite64(int fd, const void *content, size_t length, off64_t at) { return written_at("pwrite64", fd, content, length, at); }
ssize_t writev(int fd, const struct iovec *parts, int count) {
  if (!is_mine_fd(fd)) return REAL(writev)(fd, parts, count);
  for (int i = 0; i < count; i++) /* a short write is one that the caller goes on with */
    if (parts[i].iov_len) return write(fd, parts[i].iov_base, parts[i].iov_len);
  return 0;
}

/* Ways round write: callers fall back to it. */
ssize_t sendfile(int to, int from, off_t *at, size_t length) {
  if (is_mine_fd(to)) { errno = ENOTSOCK; return -1; }
  return ((ssize_t(*)(int, int, off_t *, size_t))real("sendfile"))(to, from, at, length);
}
ssize_t sendfile64(int to, int from, off64_t *at, size_t length) {
  if (is_mine_fd(to)) { errno = ENOTSOCK; return -1; }
  return ((ssize_t(*)(int, int, off64_t *, size_t))real("sendfile64"))(to, from, at, length);
}
ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *where, size_t length, unsigned flags) {
  if (is_mine_fd(to)) { errno = ENOSYS; return -1; }
  return REAL(copy_file_range)(from, at, to, where, length, flags);
}

static int cut(const char *name, int fd, off_t size) {
  int (*next)(int, off_t) = real(name);
  if (!is_mine_fd(fd)) return next(fd, size);
  begin();
  int failed = next(fd, size);
  if (!failed) told('T', number_of(fd), size, NULL, NULL, NULL, 0);
  end();
  return failed;
}
int ftruncate(int fd, off_t size) { return cut("ftruncate", fd, size); }
int ftruncate64(int fd, off64_t size) { return cut("ftruncate64", fd, size); }

static int synced(const char *name, int fd) {
  int (*next)(int) = real(name);
  char into[PATH_MAX];
  if (!is_awake || !is_mine(name_of(fd, into))) return next(fd);
  begin();
  /* The disk of this machine need not be asked: what it is asked for is what is tested. */
  told('F', number_of(fd), 0, into, NULL, NULL, 0);
  end();
  return 0;
}
int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }

static int named(char what, int failed, const char *first, const char *second) {
  if (!failed) told(what, 0, 0, first, second, NULL, 0);
  end();
  return failed;
}
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
  char one[PATH_MAX], two[PATH_MAX];
  const char *first = whole(a, from, one), *second = whole(b, to, two);
  if (!is_mine(first) && !is_mine(second)) return REAL(renameat2)(a, from, b, to, flags);
  begin();
  return named('R', REAL(renameat2)(a, from, b, to, flags), first, second);
}
int renameat(int a, const char *from, int b, const char *to) {
  char one[PATH_MAX], two[PATH_MAX];
  const char *first = whole(a, from, one), *second = whole(b, to, two);
  if (!is_mine(first) && !is_mine(second)) return REAL(renameat)(a, from, b, to);
  begin();
  return named('R', REAL(renameat)(a, from, b, to), first, second);
}
int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) {
  char one[PATH_MAX], two[PATH_MAX];
  const char *first = whole(a, from, one), *second = whole(b, to, two);
  if (!is_mine(second)) return REAL(linkat)(a, from, b, to, flags);
  begin();
  return named('L', REAL(linkat)(a, from, b, to, flags), first, second);
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }
int unlinkat(int folder, const char *path, int flags) {
  char into[PATH_MAX];
  const char *full = whole(folder, path, into);
  if (!is_mine(full)) return REAL(unlinkat)(folder, path, flags);
  begin();
  return named(flags & AT_REMOVEDIR ? 'X' : 'U', REAL(unlinkat)(folder, path, flags), full, NULL);
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) { struct stat it; return !lstat(path, &it) && S_ISDIR(it.st_mode) ? rmdir(path) : unlink(path); }
int mkdirat(int folder, const char *path, mode_t mode) {
  char into[PATH_MAX];
  const char *full = whole(folder, path, into);
  if (!is_mine(full)) return REAL(mkdirat)(folder, path, mode);
  begin();
  int failed = -1;
  if (room == 0) errno = ENOSPC;
  else failed = REAL(mkdirat)(folder, path, mode);
  return named('D', failed, full, NULL);
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
