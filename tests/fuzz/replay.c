/* SPDX-License-Identifier: MIT */

/*
 * Runs a fuzz target over files instead of generated input: each argument is a file or a folder
 * of files. Linked in the place of libFuzzer, so that a corpus is also a unit test.
 */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exactly size bytes on the heap, so that a sanitizer sees a read beyond the end. */
static int
replay_file(const char *path, size_t size)
{
    uint8_t *data = malloc(size ? size : 1);
    FILE *file = fopen(path, "rb");
    int rc = -1;

    if (data && file && fread(data, 1, size, file) == size) {
        (void)LLVMFuzzerTestOneInput(data, size);
        rc = 0;
    } else {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
    }
    if (file)
        (void)fclose(file);
    free(data);
    return rc;
}

static int replay_path(const char *path, unsigned *count);

static int
replay_folder(const char *path, unsigned *count)
{
    DIR *folder = opendir(path);
    char name[PATH_MAX];
    const struct dirent *entry;
    int rc = 0;

    if (!folder) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    while ((entry = readdir(folder)) != NULL) { // NOLINT(concurrency-mt-unsafe)
        if (entry->d_name[0] == '.')
            continue;
        if ((size_t)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) >= sizeof(name) ||
            replay_path(name, count) < 0)
            rc = -1;
    }
    (void)closedir(folder);
    return rc;
}

static int
replay_path(const char *path, unsigned *count)
{
    struct stat status;

    if (stat(path, &status) < 0) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    if (S_ISDIR(status.st_mode))
        return replay_folder(path, count);
    (*count)++;
    return replay_file(path, (size_t)status.st_size);
}

int
main(int argc, char **argv)
{
    unsigned count = 0;
    int rc = 0;

    for (int i = 1; i < argc; i++) {
        if (replay_path(argv[i], &count) < 0)
            rc = 1;
    }
    (void)printf("%u inputs replayed\n", count);
    return count > 0 ? rc : 1;
}
