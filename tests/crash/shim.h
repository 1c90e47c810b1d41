/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What boundaries.c and shadow.c share. */
#pragma once

#include <libwebsockets.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#define AGENT       "rauc-ocpp-agent"
#define MAX_LABELS  1024
#define MAX_LABEL   160
#define MAX_FOLDERS 4
#define MAX_FDS     1024
#define LOG_FD      900

typedef struct {
    char label[MAX_LABEL];
    unsigned count;
} Label;

/* A preloaded library is called without any pointer of its own: this is the one global. */
extern struct Shim {
    pthread_mutex_t lock;
    bool active, writes;
    int log;
    char folders[MAX_FOLDERS][PATH_MAX];
    int n_folders;
    char at[MAX_LABEL + 16];
    char action[16];
    char shadow[PATH_MAX / 4]; /* names in it fit PATH_MAX */
    char rauc_pid[PATH_MAX];
    unsigned csms_port;
    Label labels[MAX_LABELS];
    int n_labels;
    int (*lws_write)(struct lws *, unsigned char *, size_t, enum lws_write_protocol);
    pid_t (*fork)(void);
} shim;

/* The system calls themselves; raw_write() aborts when it cannot. */
int raw_open(const char *name, int flags, mode_t mode);
void raw_write(int fd, const char *bytes, size_t length);

/* Whether `folder` lies directly in `path`. */
bool is_parent(const char *path, const char *folder);

/* Keeps what lies there at the first start since the power came. */
void start_shadow(void);

/* To be called after a successful fsync() or fdatasync() of the file or folder `path`. */
void keep_synced(int fd, const char *path);

/* Keeps which names there are at the moment of death. */
void keep_names_now(void);
